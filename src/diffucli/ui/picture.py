"""A frame as an SVG picture, for pages and exports.

Needs no terminal. Rich's own export squeezes wide characters, loses leading blanks in some viewers and fetches a font.
This one fetches nothing and draws masks and bars as shapes, so they look the same in every font.
"""

from __future__ import annotations

import re
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.color import blend_rgb
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from diffucli.ui.glyphs import Glyphs, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.color import Color
    from rich.segment import Segment

    from diffucli.ui.frame import Frame
    from diffucli.ui.sheet import StyledRow

BACKGROUND, FOREGROUND = (15, 17, 26), (205, 214, 235)
NORMAL = [(58, 64, 86), (255, 107, 122), (152, 195, 121), (240, 180, 88)]
NORMAL += [(66, 90, 152), (199, 146, 234), (127, 219, 202), (205, 214, 235)]
BRIGHT = [(98, 106, 134), (255, 139, 148), (184, 224, 150), (255, 203, 107)]
BRIGHT += [(130, 170, 255), (221, 170, 255), (137, 221, 255), (255, 255, 255)]
THEME = TerminalTheme(BACKGROUND, FOREGROUND, NORMAL, BRIGHT)
FONTS = (
    "ui-monospace,'JetBrains Mono','SF Mono',SFMono-Regular,'Cascadia Code',Menlo,Consolas,'DejaVu Sans Mono',monospace"
)
CELL_WIDTH, ROW_HEIGHT, FONT_SIZE = 8.4, 20, 14  # in pixels
PADDING, TITLE_HEIGHT, GAP = 22, 40, 12  # GAP: between the code and the footer
MASK_GAP = 1.8  # between two masks
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
GLYPHS = Glyphs()
SHAPES = GLYPHS.mask + GLYPHS.done + GLYPHS.open
CHUNK = re.compile(
    rf"{GLYPHS.mask}+|[{SHAPES}]|[!-~]+|[^ ]"
)  # a wide or accented character alone stays in its own cells


class _Place(NamedTuple):
    """The place of a run of characters: left edge and top of the row in pixels, width in cells."""

    x: float
    y: float
    cells: int


def picture(frame: Frame, *, width: int, title: str) -> str:
    """The text of an SVG file that shows all rows of `frame`, `width` cells wide, in a window called `title`."""
    return film([(1.0, frame.lines(width))], width=width, title=title)


def film(shots: Sequence[tuple[float, list[StyledRow]]], *, width: int, title: str) -> str:
    """The text of an SVG file that shows rows for so many seconds each, over and over, the last of them the footer.

    It has no script. What does not play it shows the last rows. A row that stays the same is there once.
    """
    most = max(len(lines) for _, lines in shots) - 1
    high = TITLE_HEIGHT + (most + 1) * ROW_HEIGHT + GAP + PADDING
    shown: dict[tuple[float, tuple[Segment, ...]], list[int]] = {}
    for number, (_, lines) in enumerate(shots):
        for row, line in enumerate(lines):
            is_foot = row == len(lines) - 1
            top = TITLE_HEIGHT + (most * ROW_HEIGHT + GAP if is_foot else row * ROW_HEIGHT)
            if line:
                shown.setdefault((top, tuple(line)), []).append(number)
    seconds = [each for each, _ in shots]
    body = chain.from_iterable(_shown(_line(list(line), top), when, seconds) for (top, line), when in shown.items())
    return "\n".join((*_window(2 * PADDING + width * CELL_WIDTH, high, title), *body, "</g>", "</svg>", ""))


def _shown(row: Iterator[str], when: list[int], seconds: Sequence[float]) -> Iterator[str]:
    """A row that is to be seen in the shots `when` alone."""
    if len(when) == len(seconds):
        yield from row
        return
    total, there = sum(seconds), set(when)
    changes = [shot for shot in range(len(seconds)) if shot == 0 or (shot in there) != (shot - 1 in there)]
    times = ";".join(f"{sum(seconds[:shot]) / total:.5g}" for shot in changes)
    states = ";".join("visible" if shot in there else "hidden" for shot in changes)
    yield f'<g visibility="{"visible" if len(seconds) - 1 in there else "hidden"}">'
    yield (
        f'<animate attributeName="visibility" dur="{total:.5g}s" repeatCount="indefinite" calcMode="discrete" '
        f'keyTimes="{times}" values="{states}"/>'
    )
    yield from row
    yield "</g>"


def _window(wide: float, high: float, title: str) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}">'
    yield f"<title>{escape(visible(title, 'utf-8'))}</title>"
    yield (
        f'<rect x=".5" y=".5" width="{wide - 1:g}" height="{high - 1:g}" rx="10" '
        f'fill="{_hex(BACKGROUND)}" stroke="#fff" stroke-opacity=".14"/>'
    )
    for index, light in enumerate(BUTTONS):
        yield f'<circle cx="{PADDING + 18 * index}" cy="19" r="5.5" fill="{light}"/>'
    yield (
        f'<text x="{wide / 2:g}" y="23.5" text-anchor="middle" font-family="system-ui,sans-serif" font-size="12.5" '
        f'fill="#8b93ad">{escape(visible(title, "utf-8"))}</text>'
    )
    yield f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve">'


def _line(line: StyledRow, top: float) -> Iterator[str]:
    x: float = PADDING
    for segment in line:
        cells = cell_len(segment.text)
        yield from _segment(segment, _Place(x, top, cells))
        x += cells * CELL_WIDTH


def _segment(segment: Segment, place: _Place) -> Iterator[str]:
    style = segment.style or Style()
    ink = _colour(style.color, style)
    if style.reverse:
        yield _box(place._replace(x=place.x - 0.5), ink, inset=-0.5, height=ROW_HEIGHT - 2)
        ink = _hex(BACKGROUND)
    for match in CHUNK.finditer(segment.text):
        chunk = match.group()
        x = place.x + cell_len(segment.text[: match.start()]) * CELL_WIDTH
        spot = _Place(x, place.y, cell_len(chunk))
        yield _shape(chunk, spot, ink) if chunk[0] in SHAPES else _text(chunk, spot, ink, style)


def _shape(glyph: str, place: _Place, ink: str) -> str:
    if glyph[0] == GLYPHS.mask:
        return _masks(place, ink)
    return _box(place, ink, inset=-0.2, height=3 if glyph == GLYPHS.done else 1.2)


def _masks(place: _Place, ink: str) -> str:
    """A dashed line, one dash a mask: a picture of hundreds of masks stays small."""
    line = f"M{place.x + MASK_GAP / 2:g} {place.y + ROW_HEIGHT / 2:g}h{place.cells * CELL_WIDTH - MASK_GAP:g}"
    dashes = f"{CELL_WIDTH - MASK_GAP:g} {MASK_GAP:g}"
    return f'<path d="{line}" stroke="{ink}" stroke-width="11" stroke-dasharray="{dashes}"/>'


def _box(place: _Place, ink: str, *, inset: float, height: float) -> str:
    width = place.cells * CELL_WIDTH - 2 * inset
    radius = 2.5 if height > ROW_HEIGHT / 2 else 0
    y = place.y + (ROW_HEIGHT - height) / 2
    return f'<rect x="{place.x + inset:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{ink}"/>'


def _text(text: str, place: _Place, ink: str, style: Style) -> str:
    weight = ' font-weight="700"' if style.bold else ""
    slant = ' font-style="italic"' if style.italic else ""
    size = f'x="{place.x:g}" y="{place.y + 14.5:g}" textLength="{place.cells * CELL_WIDTH:g}"'
    return f'<text {size} lengthAdjust="spacingAndGlyphs" fill="{ink}"{weight}{slant}>{escape(text)}</text>'


def _colour(color: Color | None, style: Style) -> str:
    rgb = THEME.foreground_color if color is None else color.get_truecolor(THEME)
    return _hex(blend_rgb(rgb, THEME.background_color, 0.38) if style.dim else rgb)


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
