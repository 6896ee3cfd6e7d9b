"""How far a long command has come: a bar on a terminal, elsewhere a line now and then; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import environ

from diffucli.cli.report import Report, say

EVERY = 60.0  # seconds between two lines
Show = Callable[[float, str], None]


@contextmanager
def meter(title: str, report: Report) -> Iterator[Show]:
    """Gives a callable that is told the share done and a few words; it shows them if and when that is due."""
    from diffucli.ui import wants_live

    if report.quiet or report.json:
        yield lambda _done, _words: None
    elif wants_live(sys.stderr, "auto", environ):
        with _bar(title) as show:
            yield show
    else:
        yield _lines(title)


def _lines(title: str) -> Show:
    said = -EVERY

    def show(done: float, words: str) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY or done >= 1:
            said = time.monotonic()
            say(f"{title}: {done:4.0%} · {words}")

    return show


@contextmanager
def _bar(title: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.fields[words]}", markup=False)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn(), words
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(title, total=1.0, words="")
        yield lambda done, text: bar.update(task, completed=done, words=text)
