"""The canvas as it is now: folds events, and draws the code, its masks and a footer in a given size.

Knows nothing of terminals or time: it is asked for rows and gives styled segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment

from diffucli.events import Event, Finished, Started, Stepped
from diffucli.ui.colour import AWAITED, CONTEXT, END, INK, MASK, TAKEN, WET
from diffucli.ui.footer import Tally, footer
from diffucli.ui.glyphs import glyphs
from diffucli.ui.pen import Pen, standalone
from diffucli.ui.sheet import Line, Sheet, draw, row_of, rows, scroll

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, ConsoleOptions, RenderResult

HINT = "ctrl-c stops"
LEAST = 4  # rows of a terminal that shows any of the canvas


@dataclass(frozen=True, slots=True)
class View:
    """Which part of the canvas is shown, and how.

    start, stop: half-open range of canvas positions (None: to the end). language: a Pygments name, "text" for none.
    ends: tokens that end a text or pad it; a run of them is shown as one dot. title: what the run is about.
    """

    start: int = 0
    stop: int | None = None
    language: str = "python"
    ends: frozenset[int] = frozenset()
    title: str = ""


class Frame:
    """What is on the canvas after the events taken so far. `pieces` gives a token's bytes.

    encoding: of the terminal; what it cannot hold is shown in ASCII.
    """

    def __init__(self, pieces: Callable[[int], bytes], view: View, *, encoding: str = "utf-8") -> None:
        self._pieces = lru_cache(maxsize=None)(pieces)
        self._standalone = lru_cache(maxsize=None)(lambda token: standalone(self._pieces(token), encoding))
        self._view = view
        self._encoding = encoding
        self._glyphs = glyphs(encoding)
        self._born: dict[int, int] = {}  # position: steps done when it was last written; the wet ones only
        self._top = 0
        self._start(Started((), 0, ()))

    def take(self, event: Event) -> None:
        """Folds one event in."""
        match event:
            case Started():
                self._start(event)
            case Stepped():
                self._step(event)
            case Finished():
                self._finish(event)

    def lines(self, width: int, height: int | None = None) -> list[Line]:
        """At most `height` - 1 rows of `width` cells, the footer last; a terminal of under 4 rows gets it alone.

        Without `height` it is a still: all rows, and no hint how to stop.
        """
        hint = HINT if height else ""
        last = footer(self._tally, self._view.title, hint, width=width, encoding=self._encoding)
        if height is not None and height < LEAST:
            return [last]
        sheet = self.sheet()
        spans = rows(sheet.text, width)
        body = len(spans) if height is None else height - 2
        self._top = scroll(self._top, row_of(spans, sheet.focus), total=len(spans), height=body)
        return [*draw(sheet, spans[self._top : self._top + body], self._view.language), last]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(options.max_width, options.height):
            yield from line
            yield Segment.line()

    def sheet(self) -> Sheet:
        """The characters in view. The first mask of the window has the focus, else what was written last."""
        pen = Pen(self._encoding)
        view, mask = self._view, self._mask
        focus = written = None
        previous = mask
        for position, token in enumerate(self._tokens[view.start : view.stop], view.start):
            shade = self._shade(position, token)
            if shade == AWAITED and focus is None:
                focus = pen.length
            elif shade == WET[0]:
                written = pen.length
            if token == mask:
                pen.glyph(self._blank, shade)
            elif token not in view.ends:
                pen.write(self._pieces(token), self._standalone(token), shade)
            elif previous not in view.ends:
                pen.glyph(self._glyphs.end, shade)
            previous = token
        return pen.sheet(written if focus is None else focus)

    def _shade(self, position: int, token: int) -> str:
        if not self._open[position]:
            return END if token in self._view.ends else CONTEXT
        age = self._tally.steps - self._born.get(position, -len(WET))
        if token == self._mask:
            start, stop = self._window
            return TAKEN if age == 0 else AWAITED if start <= position < stop else MASK
        if token in self._view.ends:
            return END
        return WET[age] if age < len(WET) else INK

    def _start(self, event: Started) -> None:
        self._tokens = list(event.tokens)
        self._mask = event.mask
        self._blank = self._glyphs.mask
        self._open = bytearray(len(event.tokens))
        for start, stop in event.holes:
            self._open[start:stop] = b"\x01" * (stop - start)
        self._window = (0, 0)
        self._born = {}
        masks = sum(self._tokens[start:stop].count(event.mask) for start, stop in event.holes)
        self._tally = Tally(total=masks, left=masks)

    def _step(self, event: Stepped) -> None:
        steps = self._tally.steps + 1
        self._born = {position: step for position, step in self._born.items() if steps - step < len(WET)}
        written = self._tally.written
        for position, token in zip(event.positions, event.tokens, strict=True):
            written += self._says(token) - self._says(self._tokens[position])
            self._tokens[position] = token
            self._born[position] = steps
        self._window = event.window
        self._tally = Tally(steps, self._tally.total, event.masks_left, written, event.nfe, event.seconds)

    def _finish(self, event: Finished) -> None:
        self._tokens = list(event.tokens)
        self._window = (0, 0)
        self._born = {}
        if event.reason == "end":  # what follows an end token is no part of the text
            self._blank = ""

    def _says(self, token: int) -> bool:
        """Whether a token is text: neither a mask nor an end."""
        return token != self._mask and token not in self._view.ends
