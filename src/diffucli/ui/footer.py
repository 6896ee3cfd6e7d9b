"""The footer below a canvas: the progress and the speed of a run, cut to the width of the terminal.

Knows only counts and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from diffucli.ui.colour import PALETTES
from diffucli.ui.glyphs import glyphs, visible
from diffucli.units import format_rate

if TYPE_CHECKING:
    from diffucli.ui.sheet import StyledRow
    from diffucli.ui.theme import Theme

BAR = 10
BOLD = Style(bold=True)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a run.

    steps: denoising steps so far. total: masks to be written, those inserted on the way included. left: masks not yet
    written. written: tokens of text committed and not remasked. nfe: forwards, which may be a fraction.
    """

    steps: int = 0
    total: int = 0
    left: int = 0
    written: int = 0
    nfe: float = 0.0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """The share of the masks that is written, from 0 to 1."""
        return 1 - self.left / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the footer. The part with the highest rank is dropped first where the terminal is narrow."""

    rank: int
    text: str
    style: Style | None = None


def footer(counts: Counts, title: str, hint: str, *, width: int, encoding: str, theme: Theme = "dark") -> StyledRow:
    """One row of at most `width` cells: progress bar, title, step, masks left, rates, hint."""
    signs, palette = glyphs(encoding), PALETTES[theme]
    parts = _parts(counts, visible(" ".join(title.split()), encoding), hint)
    bar = BAR
    while _width(parts, bar) > width and len(parts) > 1:
        parts.remove(max(parts, key=lambda part: part.rank))
    if _width(parts, bar) > width:
        bar = 0
    done = round(bar * counts.share)
    line = [Segment(signs.done * done, palette.done), Segment(signs.open * (bar - done), palette.open)] if bar else []
    for index, part in enumerate(parts):
        separator = f" {signs.dot} " if index else " " if bar else ""
        line += [Segment(separator, palette.faint), Segment(part.text, part.style or palette.faint)]
    return line if bar else [Segment(set_cell_size(parts[0].text, min(width, cell_len(parts[0].text))), palette.faint)]


def _parts(counts: Counts, title: str, hint: str) -> list[_Part]:
    masks = "mask" if counts.left == 1 else "masks"
    parts = [_Part(3, title, BOLD)] if title else []
    if counts.steps or counts.left:  # else the canvas had its text from the first
        parts.append(_Part(1, f"step {counts.steps}"))
    parts.append(_Part(0, f"{counts.left} {masks} left", Style()))
    if counts.nfe and counts.written:
        parts.append(_Part(5, f"{counts.written / counts.nfe:.1f} tokens/forward"))
    if rate := format_rate(counts.written, counts.seconds):
        parts.append(_Part(4, rate))
    return [*parts, _Part(2, hint)] if hint else parts


def _width(parts: list[_Part], bar: int) -> int:
    return bar + 1 + sum(cell_len(part.text) for part in parts) + 3 * (len(parts) - 1)
