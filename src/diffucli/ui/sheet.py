"""Turns characters into rows: wrapping, tabs, wide characters and a viewport that seldom moves.

Knows nothing of tokens or events, only characters and the shade of each.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment

from diffucli.ui.colour import classes, style

if TYPE_CHECKING:
    from rich.style import Style

    from diffucli.ui.theme import Theme

TAB = 4
LEAD = 2000  # characters lexed above the first row shown, so that most docstrings that reach into view are seen as such

StyledRow = list[Segment]
RowSpan = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The characters of a canvas, not yet cut into rows.

    text: characters as shown. code: the same with blanks for glyphs, for the lexer. shades: one for each character.
    """

    text: str
    code: str
    shades: str


def rows(text: str, width: int) -> list[RowSpan]:
    """The half-open range of `text` in each row of at most `width` cells; newlines are in no row."""
    spans: list[RowSpan] = []
    start = 0
    for line in text.split("\n"):
        if len(line) <= width and line.isascii() and "\t" not in line:
            spans.append((start, start + len(line)))
        else:
            spans.extend((start + a, start + b) for a, b in _wrap(line, width))
        start += len(line) + 1
    return spans


def row_of(spans: list[RowSpan], index: int) -> int:
    """The row of character `index`. A newline counts to the row that it ends, the end of the text to the last row."""
    return bisect_right(spans, index, key=itemgetter(0)) - 1


def scroll(top: int, focus: int | None, *, total: int, height: int) -> int:
    """The first row to show: `top` while row `focus` (if any) is in view, else the one that puts it a quarter down."""
    if focus is not None and not top <= focus < top + height:
        top = focus - height // 4
    return max(0, min(top, total - height))


def draw(sheet: Sheet, spans: list[RowSpan], language: str, theme: Theme = "dark") -> list[StyledRow]:
    """The styled rows of `sheet` at `spans`, which are adjacent."""
    if not spans:
        return []
    first, last = spans[0][0], spans[-1][1]
    begin = sheet.code.rfind("\n", 0, max(0, first - LEAD)) + 1
    kinds = classes(sheet.code[begin:last], language)
    return [_row(sheet, kinds[a - begin : b - begin], a, theme) for a, b in spans]


def _row(sheet: Sheet, kinds: str, start: int, theme: Theme) -> StyledRow:
    line: StyledRow = []
    column = 0
    for (kind, shade), run in groupby(zip(kinds, sheet.shades[start : start + len(kinds)], strict=True)):
        length = sum(1 for _ in run)
        piece = _untabbed(sheet.text[start : start + length], column)
        line.extend(_styled(piece, style(kind, shade, theme)))
        column += cell_len(piece)
        start += length
    return line


def _styled(text: str, look: Style) -> StyledRow:
    """`text` in style `look`; blanks around a word are not reversed with it."""
    if not look.reverse:
        return [Segment(text, look)]
    word = text.strip(" ")
    before, _, after = text.partition(word) if word else (text, "", "")
    return [Segment(piece, shown) for piece, shown in ((before, None), (word, look), (after, None)) if piece]


def _untabbed(text: str, column: int) -> str:
    while "\t" in text:
        before, _, after = text.partition("\t")
        text = before + " " * _cells("\t", column + cell_len(before)) + after
    return text


@lru_cache(maxsize=4096)
def _wrap(line: str, width: int) -> tuple[RowSpan, ...]:
    spans: list[RowSpan] = []
    start = column = 0
    for index, char in enumerate(line):
        cells = _cells(char, column)
        if column + cells > width and index > start:
            spans.append((start, index))
            start, column = index, 0
            cells = _cells(char, column)
        column += cells
    return (*spans, (start, len(line)))


def _cells(char: str, column: int) -> int:
    return TAB - column % TAB if char == "\t" else get_character_cell_size(char)
