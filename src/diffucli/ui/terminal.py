"""A block of rows on a terminal that is redrawn in place, and gone at the end.

It is drawn in the alternate buffer: a terminal that changes its size wraps the rows of the normal one again, and those
that go up into the history can be erased no more. Knows nothing of runs; it draws anything that can give its rows for a
width and a height.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol, Self, TextIO

from rich.console import Console
from rich.segment import Segment, Segments

from diffucli.signals import deferred_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from diffucli.ui.sheet import StyledRow

LiveMode = Literal["auto", "always", "never"]
TerminalSize = tuple[int, int]

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"  # both keep the cursor; a terminal with one buffer ignores them
# A frame is one synchronized update; a row that turns out wider than computed is cut at the margin and does not wrap.
BEGIN, END = "\x1b[?2026h\x1b[?7l", "\x1b[?7h\x1b[?2026l"
UP, CLEAR_ROW = "\x1b[A", "\x1b[K"
CLEAR_BELOW = "\x1b[J"  # never from the top of the screen: tmux would save the screen to its history first
HOME = "\r"  # the cursor rests at the start of the last row, where an echoed ^C does not make the row wrap
NEXT = Segment("\r\n" + CLEAR_ROW)
FALLBACK = (80, 24)


class Drawable(Protocol):
    """Something that can be drawn in any size."""

    def lines(self, width: int, height: int | None = None) -> list[StyledRow]:
        """At most `height` - 1 rows of at most `width` cells."""


def wants_live(out: TextIO, mode: LiveMode, env: Mapping[str, str]) -> bool:
    """Whether to draw on `out`. "auto": if it is a terminal that can move its cursor, and `is_in_foreground`."""
    if mode != "auto":
        return mode == "always"
    return out.isatty() and env.get("TERM", "") != "dumb" and is_in_foreground(out)


def is_in_foreground(out: TextIO) -> bool:
    """Whether the terminal behind `out` is not in another's hands, as it is for `diffu gen x &` at a shell's prompt."""
    if sys.platform != "win32":
        with suppress(OSError, ValueError):  # it is no terminal, or not the one that controls this process
            return os.tcgetpgrp(out.fileno()) == os.getpgrp()
    return True


def size_of(out: TextIO) -> TerminalSize:
    """(columns, rows) of the terminal behind `out`; 80 by 24 if there is none or its size is unknown."""
    with suppress(OSError, ValueError):
        columns, lines = os.get_terminal_size(out.fileno())
        if columns > 0 and lines > 0:
            return columns, lines
    return FALLBACK


def writer() -> Callable[[Iterable[Segment]], str]:
    """A function that writes segments with the escape codes of their styles, as far as the terminal has colours."""
    console = Console(file=StringIO(), force_terminal=True, legacy_windows=False)

    def write(segments: Iterable[Segment]) -> str:
        with console.capture() as capture:
            console.print(Segments(segments), soft_wrap=True, end="")
        return capture.get()

    return write


class Screen:
    """Draws on `out` from the row of the cursor downwards. A context in which the cursor is hidden.

    Nothing is drawn as long as the process is in the background. Errors of writing are ignored, since a terminal that
    has gone away is no reason to stop.
    """

    def __init__(self, out: TextIO, *, size: Callable[[], TerminalSize] | None = None) -> None:
        self._out = out
        self._size = size or (lambda: size_of(out))
        self._above = 0  # the rows on the terminal above the last one that is drawn
        self._waits = False  # for the foreground, to be entered
        self._write = writer()

    def __enter__(self) -> Self:
        try:
            self.enter()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Hides the cursor. What is painted next begins in the row of the cursor."""
        self._above = 0
        self._waits = not is_in_foreground(self._out)
        if not self._waits:
            with deferred_signals():
                self._send(ALTERNATE + HIDE)

    def leave(self) -> None:
        """Erases what is drawn and shows the cursor at the place where it was at first."""
        if self._waits:
            return
        with deferred_signals():
            self._send("\r" + CLEAR_ROW + CLEAR_BELOW + (UP + CLEAR_ROW) * self._above + NORMAL + SHOW)
            self._above = 0

    def paint(self, drawable: Drawable) -> None:
        """Replaces what is drawn, in the terminal's size of now. The last column stays free."""
        width, height = self._size()
        lines = drawable.lines(max(width - 1, 1), height)
        joined = chain.from_iterable((NEXT, *line) for line in lines)  # each row clears its own first
        text = self._write(joined).removeprefix("\r\n")
        with deferred_signals():  # were `_above` not what is on the terminal, rows above the view would be erased
            if not is_in_foreground(self._out):
                return
            if self._waits:
                self.enter()
            self._send(BEGIN + "\r" + UP * self._above + text + CLEAR_BELOW + HOME + END)
            self._above = max(len(lines) - 1, 0)

    def _send(self, text: str) -> None:
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()
