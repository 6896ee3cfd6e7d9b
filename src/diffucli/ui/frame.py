"""The canvas as it is now: applies events, and draws the text, its masks and a footer in a given size.

Knows nothing of terminals or time; it returns rows of styled segments.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from diffucli.events import Event, Finished, Resized, Started, Stepped
from diffucli.ui.colour import CONTEXT, END, FRESH, MASK, REMASKED, WINDOW_MASK, WRITTEN
from diffucli.ui.footer import Counts, footer
from diffucli.ui.glyphs import glyphs
from diffucli.ui.pen import Pen, standalone
from diffucli.ui.sheet import RowSpan, Sheet, StyledRow, draw, row_of, rows, scroll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from diffucli.ui.theme import Theme

HINT = "ctrl-c stops"
MIN_HEIGHT = 4  # rows of a terminal that shows any of the canvas
NOWHERE = (-1, -1)  # the window before the first step and after the last


@dataclass(frozen=True, slots=True)
class View:
    """How a canvas is shown. language: a Pygments name, "text" for none. title, hint: first and last in the footer."""

    language: str = "python"
    title: str = ""
    hint: str = HINT
    theme: Theme = "dark"


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
        self._counts = Counts()
        self._top_position = self._top_offset = 0  # the token at which the first row begins, and a character of it
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

    def lines(self, width: int, height: int | None = None) -> list[StyledRow]:
        """At most `height` - 1 rows of `width` cells, the footer last; the footer alone where `height` is under 4.

        Without `height` all rows are drawn, and the footer does not say how to stop.
        """
        view = self._view
        hint = view.hint if height else ""
        last = footer(self._counts, view.title, hint, width=width, encoding=self._encoding, theme=view.theme)
        if height is not None and height < MIN_HEIGHT:
            return [last]
        sheet, starts = self._layout()
        spans = rows(sheet.text, width)
        body = len(spans) if height is None else height - 2
        top = self._first_row(spans, starts, body)
        return [*draw(sheet, spans[top : top + body], view.language, view.theme), last]

    def sheet(self) -> Sheet:
        """The characters of the part of the canvas that is shown."""
        return self._layout()[0]

    def _layout(self) -> tuple[Sheet, list[int]]:
        """The sheet, and the index in its text at which each shown token starts; last the length of the text."""
        pen = Pen(self._encoding)
        mask, ends, starts = self._mask, self._ends, []
        previous = mask
        for position, token in enumerate(self._tokens[slice(*self._shown)], self._shown[0]):
            starts.append(pen.length)
            shade = self._shade(position, token)
            if token == mask:
                pen.glyph(self._mask_glyph, shade)
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
                return REMASKED
            return WINDOW_MASK if self._window[0] <= position < self._window[1] else MASK
        if token in self._ends:
            return END
        age = self._counts.steps - self._committed_at.get(position, -len(FRESH))
        return FRESH[age] if age < len(FRESH) else WRITTEN

    def _first_row(self, spans: list[RowSpan], starts: list[int], height: int) -> int:
        """The first row to show. It is remembered by its token, so it stays whatever changes above it."""

        def start_of(position: int) -> int:
            return starts[min(max(position - self._shown[0], 0), len(starts) - 1)]

        top = min(start_of(self._top_position) + self._top_offset, start_of(self._top_position + 1))
        focus = self._focus()
        focus_row = None if focus is None else row_of(spans, start_of(focus))
        row = scroll(row_of(spans, top), focus_row, total=len(spans), height=height)
        token = bisect_right(starts, spans[row][0]) - 1
        self._top_position, self._top_offset = self._shown[0] + token, spans[row][0] - starts[token]
        return row

    def _focus(self) -> int | None:
        """The position to keep in view: the first mask of the window, else the last text of the last step.

        Before the first step it is the first mask of all; after the last one there is none.
        """
        if self._window == NOWHERE:
            return None if self._counts.steps else self._first_mask(range(len(self._tokens)))
        now = self._counts.steps
        fresh = (at for at, step in self._committed_at.items() if step == now and self._is_text(self._tokens[at]))
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
        self._mask_glyph = self._glyphs.mask
        self._shown = event.shown or (0, len(event.tokens))
        self._window = NOWHERE
        self._committed_at: dict[int, int] = {}  # position: the step that wrote it, for the last steps only
        self._remasked: frozenset[int] = frozenset()  # by the last step
        self._open = _cells(event.holes, len(self._tokens))
        self._earlier = self._counts
        masks = sum(self._tokens[start:stop].count(event.mask) for start, stop in event.holes)
        self._counts = replace(self._counts, steps=0, total=masks, left=masks)

    def _step(self, event: Stepped) -> None:
        steps = self._counts.steps + 1
        self._committed_at = {at: step for at, step in self._committed_at.items() if steps - step < len(FRESH)}
        written = self._counts.written
        for position in event.remasked:
            written -= self._is_text(self._tokens[position])
            self._tokens[position] = self._mask
        for position, token in zip(event.positions, event.tokens, strict=True):
            written += self._is_text(token) - self._is_text(self._tokens[position])
            self._tokens[position] = token
            self._committed_at[position] = steps
        self._remasked = frozenset(event.remasked)
        self._window = event.window
        earlier, left = self._earlier, event.masks_left
        self._counts = Counts(
            steps=steps,
            total=max(self._counts.total, left),  # remasking text that stood there at first adds masks,
            left=left,
            written=max(written, earlier.written),  # and takes away none that this run has written
            nfe=earlier.nfe + event.nfe,
            seconds=earlier.seconds + event.seconds,
        )

    def _resize(self, event: Resized) -> None:
        """Moves all that is known of positions behind the change: ages, marks, window, shown range, first row."""
        stop = event.position - min(event.delta, 0)
        gone = self._tokens[event.position : stop]
        self._tokens[event.position : stop] = [self._mask] * event.delta
        self._open = _cells(event.holes, len(self._tokens))
        stay = [at for at in self._committed_at if not event.position <= at < stop]
        self._committed_at = {_moved(at, event): self._committed_at[at] for at in stay}
        self._remasked = frozenset(_moved(at, event) for at in self._remasked if not event.position <= at < stop)
        self._shown, self._window = _moved_range(self._shown, event), _moved_range(self._window, event)
        self._top_position = _moved_start(self._top_position, event)
        total = max(self._counts.total + event.delta, event.masks_left)
        written = max(self._counts.written - sum(map(self._is_text, gone)), self._earlier.written)
        self._counts = replace(self._counts, total=total, left=event.masks_left, written=written)

    def _finish(self, event: Finished) -> None:
        self._window, self._committed_at, self._remasked = NOWHERE, {}, frozenset()
        nfe, seconds = self._earlier.nfe + event.nfe, self._earlier.seconds + event.seconds
        self._counts = replace(self._counts, nfe=nfe, seconds=seconds)
        if event.reason == "end":  # the masks behind an end token are no part of the text
            self._mask_glyph = ""

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
