"""A command's session: a model is loaded once, and what is wrong with its speed is told once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffucli.cli.options import Choice, Preset
from diffucli.model.cuda_graph import Recorder
from diffucli.tasks.options import DecodingOptions


def test_flags_become_the_options_of_their_names():
    assert Choice().decoding() == DecodingOptions()
    choice = Choice(
        preset=Preset.exact,
        seed=3,
        steps=7,
        temperature=0.5,
        top_p=0.9,
        alg="margin",
        alg_temp=0.2,
        block=16,
        by_line=True,
        cache="prefix",
        speculate=2,
    )
    assert choice.decoding() == DecodingOptions("exact", 3, 7, 0.5, 0.9, "margin", 0.2, 16, True, "prefix", 2)


def test_steps_that_cannot_be_replayed_are_told_of_once_with_v(diffu, checkpoint, monkeypatch):
    """Of a text that is repaired, so that many runs follow the first."""

    def fails(_):
        raise RuntimeError(why)

    def load(folder, **_):
        return replace(checkpoint, network=replace(checkpoint.network, recorder=Recorder(fails)))

    monkeypatch.setattr("diffucli.model.load.load", load)
    why = "operation not permitted when stream is capturing"
    line = f"steps are not replayed as a CUDA graph, so they are slower: {why}"
    done = diffu("gen", "x", "--length", "16", "-v")
    assert done.lines.count(line) == 1
    assert done.code == 3, "nothing parses"
    assert line not in diffu("gen", "x", "--length", "16").err


@pytest.mark.parametrize("quiet", [["-q"], ["--json"]])
def test_on_a_terminal_the_view_is_drawn_and_for_the_quiet_it_is_not(diffu, says, monkeypatch, quiet):
    says("x = 1<|im_end|>")
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: True)
    assert "masks left" in diffu("gen", "x", "--length", "16").err
    assert diffu("gen", "x", "--length", "16", *quiet).err == ""
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: False)
    assert "masks left" not in diffu("gen", "x", "--length", "16").err
