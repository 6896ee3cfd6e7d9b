"""The progress of long commands: lines in a pipe, a bar on a terminal, nothing where none is wanted."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from diffucli.cli import progress
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.units import JobProgress

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    live = True

    def isatty(self) -> bool:
        return self.live


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """on_terminal() puts a terminal of 100 columns behind stderr; in the test itself, as pytest puts its own there."""

    def put() -> Terminal:
        out = Terminal()
        monkeypatch.setattr(sys, "stderr", out)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        return out

    return put


class Clock:
    """Stands in for `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_a_line_at_once_then_every_minute_and_one_at_the_end(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with meter("working", Report()) as show:
        for later, done in ((0.0, 0.0), (1.0, 0.25), (60.0, 0.5), (61.0, 1.0), (62.0, 1.0)):
            clock.now = 100.0 + later
            show(done, f"at {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["working:   0% · at 0.0", "working:  50% · at 0.5", "working: 100% · at 1.0"]


@pytest.mark.parametrize("report", [Report(quiet=True), Report(json=True)])
@pytest.mark.parametrize("live", [False, True])
def test_nothing_for_the_quiet(on_terminal: Callable[..., Terminal], report: Report, *, live: bool) -> None:
    terminal = on_terminal()
    terminal.live = live
    with meter("working", report) as show:
        show(0.5, "words")
    assert terminal.getvalue() == ""


def test_a_bar_on_a_terminal_with_its_text_as_it_is(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal()
    with meter("working", Report()) as show:
        show(0.5, "loss [red] 3.2")
        assert sys.stderr is terminal, "what others write goes where it went"
    assert "working" in terminal.getvalue()
    assert "loss [red] 3.2" in terminal.getvalue()
    assert "/s" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K"), "the bar is erased"
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is shown again"


def test_a_speed_counts_what_was_done_since_the_bar_began(
    on_terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, now = on_terminal(), 0.0
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    with meter("fetching", Report(), total=1000, rate=lambda speed: f"{speed:.0f} B/s") as show:
        for done in (500, 600, 700):
            show(done, f"{done} of 1000")
            now += 2.0
    assert "700 of 1000 · 50 B/s" in terminal.getvalue()


STEPS = [
    JobProgress("waiting", 0, 0),
    JobProgress("fetching", 2_000_000, 8_000_000),
    JobProgress("fetching", 8_000_000, 8_000_000),
    JobProgress("checking", 4_000_000, 8_000_000),
]


def test_a_pull_tells_of_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    progress.show_progress(iter(STEPS), Report())
    assert capsys.readouterr().err.splitlines() == [
        "waiting: another pull of the same model is at work",
        "fetching:  25% · 2.0 of 8.0 MB",
        "fetching: 100% · 8.0 of 8.0 MB",
        "checking:  50% · 4.0 of 8.0 MB",
    ]


def test_a_pull_has_a_bar_for_every_stage_and_leaves_none(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal()
    progress.show_progress(iter(STEPS), Report())
    for text in ("waiting", "another pull of the same model is at work", "fetching", "8.0 of 8.0 MB", "4.0 of 8.0 MB"):
        assert text in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_a_pull_that_is_stopped_says_where_and_how_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    def steps():
        yield STEPS[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        progress.show_progress(steps(), Report())
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "stopped fetching at 2.0 of 8.0 MB; the same command goes on from there"
