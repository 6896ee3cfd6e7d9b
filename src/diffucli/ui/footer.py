"""The footer under a canvas: how far the run is and how fast it goes, cut to the width there is.

Knows only counts and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from diffucli.ui.glyphs import glyphs, visible

if TYPE_CHECKING:
    from diffucli.ui.sheet import Line

BAR = 10
DIM, BOLD = Style(dim=True), Style(bold=True)
DONE, OPEN = Style(color="yellow", bold=True), Style(color="blue", dim=True)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a run: steps, masks at first and now, tokens of text written, forwards, seconds since it began."""

    steps: int = 0
    total: int = 0
    left: int = 0
    written: int = 0
    nfe: float = 0.0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """How much of the holes is settled, 0 to 1."""
        return 1 - self.left / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the footer; where room is short the one with the highest rank goes first."""

    rank: int
    text: str
    style: Style = DIM


def footer(tally: Tally, title: str, hint: str, *, width: int, encoding: str) -> Line:
    """One line of at most `width` cells: bar, step, masks left, rates, hint. `title` stands first."""
    signs = glyphs(encoding)
    parts = _parts(tally, visible(" ".join(title.split()), encoding), hint)
    bar = BAR
    while _width(parts, bar) > width and len(parts) > 1:
        parts.remove(max(parts, key=lambda part: part.rank))
    if _width(parts, bar) > width:
        bar = 0
    done = round(bar * tally.share)
    line = [Segment(signs.done * done, DONE), Segment(signs.open * (bar - done), OPEN)] if bar else []
    for index, part in enumerate(parts):
        separator = f" {signs.dot} " if index else " " if bar else ""
        line += [Segment(separator, DIM), Segment(part.text, part.style)]
    return line if bar else [Segment(set_cell_size(parts[0].text, min(width, cell_len(parts[0].text))), DIM)]


def _parts(tally: Tally, title: str, hint: str) -> list[_Part]:
    masks = "mask" if tally.left == 1 else "masks"
    parts = [_Part(3, title, BOLD)] if title else []
    parts += [_Part(1, f"step {tally.steps}"), _Part(0, f"{tally.left} {masks} left", Style())]
    if tally.nfe:
        parts.append(_Part(5, f"{tally.written / tally.nfe:.1f} tokens/forward"))
    if tally.seconds > 0:
        parts.append(_Part(4, f"{tally.written / tally.seconds:.0f} tok/s"))
    return [*parts, _Part(2, hint)] if hint else parts


def _width(parts: list[_Part], bar: int) -> int:
    return bar + 1 + sum(cell_len(part.text) for part in parts) + 3 * (len(parts) - 1)
