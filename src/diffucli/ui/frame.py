"""The canvas as it is now: applies events, and draws the text, its masks and a footer in a given size.

Knows nothing of terminals or time; it returns rows of styled segments.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from diffucli.events import Event, Finished, Resized, Started, Stepped
from diffucli.ui.colour import AWAITED, CONTEXT, END, INK, MASK, TAKEN, WET
from diffucli.ui.footer import Tally, footer
from diffucli.ui.glyphs import glyphs
from diffucli.ui.pen import Pen, standalone
from diffucli.ui.sheet import Line, Sheet, draw, row_of, rows, scroll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HINT = "ctrl-c stops"
LEAST = 4  # rows of a terminal that shows any of the canvas
NOWHERE = (-1, -1)  # the window before the first step and after the last


@dataclass(frozen=True, slots=True)
class View:
    """How a canvas is shown. language: a Pygments name, "text" for none. title: stands first in the footer."""

    language: str = "python"
    title: str = ""


class Frame:
    """The canvas after the events taken so far, which can be drawn in any size.

    pieces: gives a token's bytes. encoding: of the terminal; characters that it lacks are shown in ASCII. Another
    `Started` begins a new canvas; forwards, seconds and tokens written add up over all canvases.
    """

    def __init__(self, pieces: Callable[[int], bytes], view: View, *, encoding: str = "utf-8") -> None:
        self._pieces = lru_cache(maxsize=None)(pieces)
        self._standalone = lru_cache(maxsize=None)(lambda token: standalone(self._pieces(token), encoding))
        self._view = view
        self._encoding = encoding
        self._glyphs = glyphs(encoding)
        self._tally = Tally()
        self._top = self._inside = 0  # where the first row shown begins: a position, a character of its token
        self._start(Started((), 0, ()))

    def take(self, event: Event) -> None:
        """Applies one event."""
        match event:
            case Started():
                self._start(event)
            case Stepped():
                self._step(event)
            case Resized():
                self._resize(event)
            case Finished():
                self._finish(event)

    def lines(self, width: int, height: int | None = None) -> list[Line]:
        """At most `height` - 1 rows of `width` cells, the footer last; the footer alone where `height` is under 4.

        Without `height` all rows are drawn, and the footer does not say how to stop.
        """
        hint = HINT if height else ""
        last = footer(self._tally, self._view.title, hint, width=width, encoding=self._encoding)
        if height is not None and height < LEAST:
            return [last]
        sheet, starts = self._lay()
        spans = rows(sheet.text, width)
        body = len(spans) if height is None else height - 2
        top = self._scroll(spans, starts, body)
        return [*draw(sheet, spans[top : top + body], self._view.language), last]

    def sheet(self) -> Sheet:
        """The characters of the part of the canvas that is shown."""
        return self._lay()[0]

    def _lay(self) -> tuple[Sheet, list[int]]:
        """The sheet, and the index of the character at which each shown token starts, with that of the end."""
        pen = Pen(self._encoding)
        mask, ends, starts = self._mask, self._ends, []
        previous = mask
        for position, token in enumerate(self._tokens[slice(*self._shown)], self._shown[0]):
            starts.append(pen.length)
            shade = self._shade(position, token)
            if token == mask:
                pen.glyph(self._blank, shade)
            elif token not in ends:
                pen.write(self._pieces(token), self._standalone(token), shade)
            elif previous not in ends:
                pen.glyph(self._glyphs.end, shade)
            previous = token
        sheet = pen.sheet()
        return sheet, [*starts, len(sheet.text)]

    def _shade(self, position: int, token: int) -> str:
        if not self._open[position]:
            return END if token in self._ends else CONTEXT
        if token == self._mask:
            if position in self._remasked:
                return TAKEN
            return AWAITED if self._window[0] <= position < self._window[1] else MASK
        if token in self._ends:
            return END
        age = self._tally.steps - self._written.get(position, -len(WET))
        return WET[age] if age < len(WET) else INK

    def _scroll(self, spans: list[tuple[int, int]], starts: list[int], height: int) -> int:
        """The first row to show. It is remembered by its token, so that it stays whatever happens above it."""
        first, last = self._shown[0], len(starts) - 1
        token = min(max(self._top - first, 0), last)
        top = row_of(spans, min(starts[token] + self._inside, starts[min(token + 1, last)]))
        focus = self._focus()
        row = None if focus is None else row_of(spans, starts[min(max(focus - first, 0), last)])
        top = scroll(top, row, total=len(spans), height=height)
        token = bisect_right(starts, spans[top][0]) - 1
        self._top, self._inside = first + token, spans[top][0] - starts[token]
        return top

    def _focus(self) -> int | None:
        """The position to keep in view: the first mask of the window, else the last text of the last step.

        Before the first step it is the first mask of all; after the last one there is none.
        """
        if self._window == NOWHERE:
            return None if self._tally.steps else self._first_mask(range(len(self._tokens)))
        now = self._tally.steps
        fresh = (at for at, step in self._written.items() if step == now and self._is_text(self._tokens[at]))
        first = self._first_mask(range(*self._window))
        return max(fresh, default=None) if first is None else first

    def _first_mask(self, positions: Iterable[int]) -> int | None:
        return next(
            (at for at in positions if self._tokens[at] == self._mask and self._open[at] and at not in self._remasked),
            None,
        )

    def _start(self, event: Started) -> None:
        self._tokens = list(event.tokens)
        self._mask, self._ends = event.mask, event.ends
        self._blank = self._glyphs.mask
        self._shown = event.shown or (0, len(event.tokens))
        self._top, self._inside = self._shown[0], 0
        self._window = NOWHERE
        self._written: dict[int, int] = {}  # position: the step that wrote it, for the last steps only
        self._remasked: frozenset[int] = frozenset()  # by the last step
        self._open = _cells(event.holes, len(self._tokens))
        self._before = self._tally
        masks = sum(self._tokens[start:stop].count(event.mask) for start, stop in event.holes)
        self._tally = replace(self._tally, steps=0, total=masks, left=masks)

    def _step(self, event: Stepped) -> None:
        steps = self._tally.steps + 1
        self._written = {at: step for at, step in self._written.items() if steps - step < len(WET)}
        written = self._tally.written
        for position in event.remasked:
            written -= self._is_text(self._tokens[position])
            self._tokens[position] = self._mask
            self._written.pop(position, None)
        for position, token in zip(event.positions, event.tokens, strict=True):
            written += self._is_text(token) - self._is_text(self._tokens[position])
            self._tokens[position] = token
            self._written[position] = steps
        self._remasked = frozenset(event.remasked)
        self._window = event.window
        self._count(steps, written, event.masks_left)
        self._spend(event.nfe, event.seconds)

    def _resize(self, event: Resized) -> None:
        """Everything behind the change moves with its token: ages, marks, the window, what is shown, the first row."""
        stop = event.position - min(event.delta, 0)
        gone = self._tokens[event.position : stop]
        self._tokens[event.position : stop] = [self._mask] * event.delta
        self._open = _cells(event.holes, len(self._tokens))
        stay = [at for at in self._written if not event.position <= at < stop]
        self._written = {_moved(at, event): self._written[at] for at in stay}
        self._remasked = frozenset(_moved(at, event) for at in self._remasked if not event.position <= at < stop)
        self._shown, self._window = _moved_range(self._shown, event), _moved_range(self._window, event)
        self._top = _moved_start(self._top, event)
        written = self._tally.written - sum(map(self._is_text, gone))
        self._count(self._tally.steps, written, event.masks_left, grown=event.delta)

    def _finish(self, event: Finished) -> None:
        self._window, self._written, self._remasked = NOWHERE, {}, frozenset()
        self._spend(event.nfe, event.seconds)
        if event.reason == "end":  # the masks behind an end token are no part of the text
            self._blank = ""

    def _count(self, steps: int, written: int, left: int, *, grown: int = 0) -> None:
        """Counts anew. A span that is masked again may hold more masks, and text, than this run has seen written."""
        total, written = max(self._tally.total + grown, left), max(written, self._before.written)
        self._tally = replace(self._tally, steps=steps, total=total, left=left, written=written)

    def _spend(self, nfe: float, seconds: float) -> None:
        self._tally = replace(self._tally, nfe=self._before.nfe + nfe, seconds=self._before.seconds + seconds)

    def _is_text(self, token: int) -> bool:
        """Whether a token is neither a mask nor an end."""
        return token != self._mask and token not in self._ends


def _cells(ranges: Iterable[tuple[int, int]], length: int) -> bytearray:
    """One byte for each of `length` positions: 1 inside `ranges`."""
    cells = bytearray(length)
    for start, stop in ranges:
        cells[start:stop] = b"\x01" * (stop - start)
    return cells


def _moved(position: int, event: Resized) -> int:
    """Where what stood at `position` stands after `event`."""
    return position if position < event.position else max(event.position, position + event.delta)


def _moved_range(span: tuple[int, int], event: Resized) -> tuple[int, int]:
    """Where the half-open range `span` is after `event`; masks inserted at either edge belong to it."""
    return _moved_start(span[0], event), _moved(span[1], event)


def _moved_start(start: int, event: Resized) -> int:
    """Where a range that began at `start` begins after `event`."""
    return start if start == event.position else _moved(start, event)
