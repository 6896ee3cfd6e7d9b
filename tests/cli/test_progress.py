"""How far a long command has come: lines where nobody looks, a bar on a terminal, nothing where none is wanted."""

from __future__ import annotations

import io
import sys

import pytest

from diffucli.cli import progress
from diffucli.cli.progress import meter
from diffucli.cli.report import Report


def test_a_line_at_once_then_now_and_then_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with meter("working", Report()) as show:
        for later, done in ((0.0, 0.0), (1.0, 0.25), (60.0, 0.5), (61.0, 1.0)):
            now = 100.0 + later
            show(done, f"at {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["working:   0% · at 0.0", "working:  50% · at 0.5", "working: 100% · at 1.0"]


@pytest.mark.parametrize("report", [Report(quiet=True), Report(json=True)])
def test_nothing_for_the_quiet(capsys: pytest.CaptureFixture[str], report: Report) -> None:
    with meter("working", report) as show:
        show(0.5, "words")
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal_with_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with meter("working", Report()) as show:
        show(0.5, "loss [red] 3.2")
    assert "working" in out.getvalue()
    assert "loss [red] 3.2" in out.getvalue()
    assert "\x1b[?25h" in out.getvalue(), "the cursor is shown again"
