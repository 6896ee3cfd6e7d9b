"""A command's session: a model is loaded once, and what is wrong with its speed is told once."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

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
        ends="late",
        max_length=9,
        expand_budget=3,
    )
    assert choice.decoding() == DecodingOptions(
        *("exact", 3, 7, 0.5, 0.9, "margin", 0.2, 16, True, "prefix", 2, "late", 9, 3)
    )


def test_a_trace_has_the_policy_that_the_checkpoint_was_written_by(diffu, golden_of):
    """A preset as it fits the family, and published settings."""
    told = {}
    for preset in ("balanced", "published"):
        flags = ("--preset", preset, "--length", "8", "--verify", "off", "--jsonl", "--ends", "late")
        done = diffu("gen", "x", "-m", golden_of("blockwise"), *flags)
        told[preset] = json.loads(done.out.splitlines()[0])["policy"]
    assert [(each["block"], each["ends"]) for each in told.values()] == [(4, "late")] * 2
    assert "TopK" in told["published"]["commit"]


def test_a_hole_that_grows_is_told_and_stays_within_its_bounds(diffu, golden_of, tmp_path):
    """The view, which draws from the same events, follows."""
    (tmp_path / "a.py").write_text("x = [???]\n")
    flags = ("-m", golden_of("dreamon"), "--max-length", "5", "--seed", "1", "--verify", "off")
    events = [json.loads(line) for line in diffu("fill", tmp_path / "a.py", *flags, "--jsonl").out.splitlines()]
    resized = [each for each in events if each.get("event") == "resized"]
    assert resized
    assert all(stop - start <= 6 for each in resized for start, stop in each["holes"])  # six while a token gives way
    never = diffu("fill", tmp_path / "a.py", *flags, "--expand-budget", "0", "--jsonl").out.splitlines()
    assert all(json.loads(line)["delta"] < 0 for line in never if b'"resized"' in line)


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


def test_mini_is_introduced_once_a_day(diffu, says, tmp_path):
    says("x = 1\n```")
    first, second = (diffu("gen", "set x", "-m", "mini", "-v") for _ in range(2))
    assert first.lines[0].startswith("mini is a small demonstration model for common Python tasks; ")
    assert "demonstration" not in second.err
    stamp = tmp_path / "state" / "mini-notice"
    os.utime(stamp, (stamp.stat().st_mtime - 90_000,) * 2)
    assert "demonstration" in diffu("gen", "set x", "-m", "mini", "-v").err
    assert "demonstration" not in diffu("gen", "set x", "-v").err


def test_it_is_introduced_each_time_where_that_cannot_be_noted(diffu, says, tmp_path, monkeypatch):
    says("x = 1\n```")
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "file" / "state"))
    for _ in range(2):
        assert "demonstration" in diffu("gen", "set x", "-m", "mini", "-v").err


def test_nothing_is_noted_where_nobody_was_told(diffu, says, tmp_path):
    says("x = 1\n```")
    assert diffu("gen", "set x", "-m", "mini").err == ""
    assert not (tmp_path / "state" / "mini-notice").exists()


def test_what_mini_was_not_trained_for_is_told_in_each_run(diffu, says):
    says("x = 1\n```")
    line = "diffu: mini was not trained to read context, so it will make little of it"
    Path("c.py").write_text("y = 2\n")
    for _ in range(2):
        assert diffu("gen", "set x", "-m", "mini", "-c", "c.py").lines == [line]
    assert diffu("gen", "set x", "-c", "c.py").lines == []
    assert diffu("gen", "set x", "-m", "mini", "-c", "c.py", "-q").lines == []
    says("let x = 1;\n```")
    told = diffu("gen", "set x", "-m", "mini", "-l", "javascript").lines
    assert told == ["diffu: mini knows no language but python, and javascript is asked for"]


def test_fill_tells_it_too(diffu, says):
    says("1")
    Path("a.js").write_text("let x = ???1;\n")
    assert "diffu: mini knows no language but python" in diffu("fill", "a.js", "-m", "mini").err
