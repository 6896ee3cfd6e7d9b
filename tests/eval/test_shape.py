"""The parts of a step are timed on any network."""

from __future__ import annotations

from diffucli.eval import shape


def test_every_part_is_timed_with_what_it_evaluates(checkpoint, monkeypatch):
    monkeypatch.setattr(shape, "CANVAS", 64)
    monkeypatch.setattr(shape, "ANSWER", 48)
    found = list(shape.steps(checkpoint.network, rounds=3))
    parts = [("whole canvas", 64, 48), ("window", 33, 32), ("sampling of a window", 0, 32)]
    assert [(each.name, each.tokens, each.rows) for each in found] == parts
    assert all(each.seconds > 0 for each in found)
