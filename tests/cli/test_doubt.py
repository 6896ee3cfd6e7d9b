"""Doubt on the command line: one line on stderr, a field of --json, and a refusal with --strict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from diffucli.tasks.doubt import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Diffu

DOUBT = "the model was not sure of this text: it is right with an estimated probability of 50%"


@pytest.fixture(params=[True, False])
def in_doubt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every text is right with a probability of one half, which is in doubt or not."""
    calibration = Calibration((0.0, 0.0, 0.0, 0.0, 0.0), 0.0, threshold=0.6 if request.param else 0.4)
    monkeypatch.setattr("diffucli.tasks.doubt.read", lambda _: dict.fromkeys(("gen", "fill"), calibration))
    return bool(request.param)


def test_doubt_is_one_line_on_stderr(diffu: Diffu, says: Callable[..., list[str]], in_doubt: bool) -> None:
    says("x = 1\n```<|im_end|>")
    done = diffu("gen", "one", "--length", "20")
    assert (done.code, done.out) == (0, b"x = 1\n")
    assert [line for line in done.lines if "not sure" in line] == (
        [f"diffu: {DOUBT}; read it, or choose among others with -n 8"] if in_doubt else []
    )


def test_doubt_is_a_field(diffu: Diffu, says: Callable[..., list[str]], in_doubt: bool) -> None:
    says("x = 1\n```<|im_end|>")
    told = json.loads(diffu("gen", "one", "--length", "20", "--json").out)["doubt"]
    assert (told["doubtful"], told["probability"], told["repairs"]) == (in_doubt, 0.5, 0)
    assert told["reread_logprob"] < 0


def test_strict_refuses_a_text_in_doubt(
    diffu: Diffu, says: Callable[..., list[str]], in_doubt: bool, tmp_path: Path
) -> None:
    says("x = 1\n```<|im_end|>")
    out = tmp_path / "out.py"
    done = diffu("gen", "one", "--length", "20", "--strict", "-o", out)
    assert (done.code, out.exists()) == ((3, False) if in_doubt else (0, True))
    assert (f"{DOUBT}; nothing was written" in done.err) is in_doubt
    assert done.err.count("not sure") == int(in_doubt)


def test_strict_leaves_a_file_as_it_was(
    diffu: Diffu, says: Callable[..., list[str]], in_doubt: bool, tmp_path: Path
) -> None:
    says("2")
    file = tmp_path / "a.py"
    file.write_text("x = ???3\n", encoding="utf-8")
    done = diffu("fill", file, "-w", "--strict")
    assert done.code == (3 if in_doubt else 0)
    assert file.read_text(encoding="utf-8") == ("x = ???3\n" if in_doubt else "x = 2\n")


def test_strict_leaves_candidates_in_doubt_out(diffu: Diffu, says: Callable[..., list[str]], in_doubt: bool) -> None:
    says("x = 1\n```<|im_end|>")
    done = diffu("gen", "one", "--length", "20", "--pick", "all", "-n", "2", "--strict")
    assert (done.code, done.out.count(b"\n")) == ((3, 0) if in_doubt else (0, 1))
    assert done.err.count("nothing was written") == int(in_doubt)
