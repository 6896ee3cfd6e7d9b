"""A frame as an SVG picture, for pages and exports.

Needs no terminal; fonts are the viewer's own, nothing is fetched.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import TerminalTheme

if TYPE_CHECKING:
    from diffucli.ui.frame import Frame


def picture(frame: Frame, *, width: int, title: str) -> str:
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(frame)
    return console.export_svg(title=title)
