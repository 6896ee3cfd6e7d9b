"""The parts of a step are timed on any network."""

from __future__ import annotations

from dataclasses import replace

from diffucli.bench import shape
from diffucli.model.cuda_graph import Recorder
from diffucli.model.network import Network


def test_every_part_is_timed_with_what_it_evaluates(checkpoint, monkeypatch):
    monkeypatch.setattr(shape, "CANVAS", 64)
    monkeypatch.setattr(shape, "ANSWER", 48)
    found = list(shape.steps(checkpoint.network, rounds=3))
    parts = [("whole canvas", 64, 48), ("window", 33, 32), ("sampling of a window", 0, 32)]
    assert [(each.name, each.tokens, each.rows) for each in found] == parts
    assert all(each.seconds > 0 for each in found)


def test_a_forward_evaluates_the_tokens_that_its_part_names(checkpoint, monkeypatch):
    forward, seen = Network.__call__, []

    def noted(network, tokens, rows, **cached):
        seen.append((tokens.numel(), sum(map(len, rows))))
        return forward(network, tokens, rows, **cached)

    monkeypatch.setattr(Network, "__call__", noted)
    monkeypatch.setattr(shape, "CANVAS", 64)
    monkeypatch.setattr(shape, "ANSWER", 48)
    for part in shape.steps(checkpoint.network, rounds=2):
        assert set(seen[-3:]) == {(part.tokens, part.rows)} if part.tokens else not seen, part.name
        seen.clear()


def test_a_window_that_is_replayed_is_measured_without_that_too(checkpoint):
    def record(run):
        result = run()
        return result, lambda: None

    parts = shape.steps(replace(checkpoint.network, recorder=Recorder(record)), rounds=1)
    assert [(part.name, part.tokens) for part in parts][1:3] == [("window", 33), ("window, not replayed", 33)]
