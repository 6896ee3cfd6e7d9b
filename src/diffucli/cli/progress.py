"""The progress of a long command: a bar on a terminal, elsewhere a line now and then; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from os import environ
from typing import TYPE_CHECKING

from diffucli.cli.report import Report, say, shown
from diffucli.signals import unwinding_on_kill
from diffucli.units import format_bytes, format_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from diffucli.cli.options import Live
    from diffucli.units import JobProgress

EVERY = 60.0  # seconds between two lines
Show = Callable[[float, str], None]
Rate = Callable[[float], str]
WAITING = "another pull of the same model is at work"


@contextmanager
def meter(title: str, report: Report, *, total: float = 1.0, rate: Rate | None = None) -> Iterator[Show]:
    """Gives a function show(done, text) that shows how much of `total` is done, and `text`, as often as is useful.

    total: 0 if it is unknown. rate: the text for a speed, in units of `total` a second; without it none is shown.
    """
    from diffucli.ui import wants_live

    if report.quiet or report.json:
        yield lambda _done, _text: None
    elif wants_live(sys.stderr, "auto", environ):
        with _bar(title, total, rate) as show:
            yield show
    else:
        yield _lines(title, total)


def _lines(title: str, total: float) -> Show:
    """Says a line at once, then every minute, and once at the end."""
    said, ended = -EVERY, False

    def show(done: float, text: str) -> None:
        nonlocal said, ended
        ends = done >= total > 0 and not ended
        if ends or time.monotonic() - said >= EVERY:
            said, ended = time.monotonic(), ended or ends
            say(f"{title}: {done / total:4.0%} · {text}" if total else f"{title}: {text}")

    return show


@contextmanager
def _bar(title: str, total: float, rate: Rate | None) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    details = TextColumn("{task.fields[text]}", markup=False)
    console = Console(file=sys.stderr)
    with Progress(
        *columns, details, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(title, total=total or None, text="")

        def show(done: float, text: str) -> None:
            bar.update(task, completed=done)
            speed = bar.tasks[task].speed  # what the first call says was done before, and does not count
            bar.update(task, text=f"{text} · {rate(speed)}" if rate and speed else text)

        yield show


@contextmanager
def loading(report: Report, live: Live) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows a stage of loading in one row, where a run would be shown; it is gone at the end."""
    with status(report, live) as show:
        show("loading the model …")
        yield lambda stage: show(f"loading {stage} …")


@contextmanager
def status(report: Report, live: Live) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows a text in one row on a terminal, in place of the one before; "" takes it away."""
    from diffucli.ui import size_of, wants_live

    if report.quiet or report.json or not wants_live(sys.stderr, live, environ):
        yield lambda _text: None
        return
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            _overwrite(shown(text, sys.stderr.encoding)[: size_of(sys.stderr)[0] - 1])

    with unwinding_on_kill():
        try:
            yield show
        finally:
            _overwrite("")


def _overwrite(row: str) -> None:
    """Replaces the row of the cursor on stderr; the cursor rests at its start, where a narrower terminal leaves it."""
    with suppress(OSError):
        sys.stderr.write(f"\r{row}\x1b[K\r")
        sys.stderr.flush()


def show_progress(steps: Iterable[JobProgress], report: Report) -> None:
    """Runs a pull to its end and shows its progress, stage by stage."""
    last = None
    try:
        for (stage, total), group in groupby(steps, key=lambda step: (step.stage, step.total)):
            with meter(stage, report, total=total, rate=_rate) as show:
                for last in group:
                    show(last.done, format_progress(last.done, total) if total else WAITING)
    except KeyboardInterrupt:
        if last and last.total:
            where = f"{last.stage} at {format_progress(last.done, last.total)}"
            report.say(f"stopped {where}; the same command goes on from there")
        raise


def _rate(speed: float) -> str:
    return f"{format_bytes(int(speed))}/s"
