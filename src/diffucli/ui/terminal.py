"""A block of rows on a terminal, redrawn in place in the normal buffer and gone without a trace at the end.

Knows nothing of runs: it is given something that has lines of a width and a height.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Literal, Protocol, Self, TextIO

from rich.console import Console
from rich.segment import Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from diffucli.ui.sheet import Line

Mode = Literal["auto", "always", "never"]
Size = tuple[int, int]

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
# One frame is one update; a row that comes out wider than reckoned is cut at the margin instead of wrapping.
BEGIN, END = "\x1b[?2026h\x1b[?7l", "\x1b[?7h\x1b[?2026l"
CLEAR_ROW, CLEAR_BELOW = "\x1b[K", "\x1b[J"
FALLBACK = (80, 24)


class Drawable(Protocol):
    """Something that can be drawn in a size."""

    def lines(self, width: int, height: int | None = None) -> list[Line]:
        """At most `height` - 1 rows of at most `width` cells."""


def wants_live(out: TextIO, mode: Mode, env: Mapping[str, str]) -> bool:
    """Whether to draw on `out`: as `mode` says, "auto" on a terminal that can move its cursor."""
    if mode != "auto":
        return mode == "always"
    return out.isatty() and env.get("TERM", "") != "dumb"


def reflows(env: Mapping[str, str]) -> bool:
    """Whether the terminal wraps old rows anew when it gets narrower: all do but xterm, screen and Linux' console."""
    alone = "TMUX" not in env and env.get("TERM", "").startswith(("linux", "screen"))
    return not alone and "XTERM_VERSION" not in env


def size_of(out: TextIO) -> Size:
    """(columns, rows) of the terminal behind `out`; 80 by 24 where there is none or it does not say."""
    with suppress(OSError, ValueError):
        columns, rows = os.get_terminal_size(out.fileno())
        if columns > 0 and rows > 0:
            return columns, rows
    return FALLBACK


class Screen:
    """Draws on `out` from the cursor's row downwards; a context in which the cursor is hidden.

    A terminal that has gone away is no reason to stop: what cannot be written is not.
    """

    def __init__(self, out: TextIO, *, size: Callable[[], Size] | None = None, wraps: bool = True) -> None:
        self._out = out
        self._size = size or (lambda: size_of(out))
        self._wraps = wraps
        self._drawn: list[int] = []  # cells of each row that is on the terminal
        self._console = Console(file=StringIO(), force_terminal=True, legacy_windows=False)

    def __enter__(self) -> Self:
        self._send(HIDE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send(self._back() + CLEAR_BELOW + SHOW)
        self._drawn = []

    def paint(self, drawable: Drawable) -> None:
        """Replaces what is drawn; the size is asked for anew. The last column stays free."""
        width, height = self._size()
        lines = drawable.lines(max(width - 1, 1), height)
        back = self._back()
        self._drawn = [sum(segment.cell_length for segment in line) for line in lines]
        rows = "\r\n".join(CLEAR_ROW + self._ansi(line) for line in lines)
        self._send(BEGIN + back + rows + CLEAR_BELOW + END)

    def _back(self) -> str:
        """To the first cell of what is drawn, which a terminal made narrower may have wrapped."""
        width = self._size()[0] if self._wraps else sys.maxsize
        rows = sum(max(1, -(-cells // width)) for cells in self._drawn)
        return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r"

    def _ansi(self, line: Line) -> str:
        with self._console.capture() as capture:
            self._console.print(Segments(line), soft_wrap=True, end="")
        return capture.get()

    def _send(self, text: str) -> None:
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()
