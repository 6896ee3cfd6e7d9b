"""The style of a character: its syntax class comes from Pygments, its shade from what the run did to it.

Knows nothing of canvases or lines. On a dark background only the sixteen colours of the user's theme are used; on a
light one, where many of these cannot be read, colours of the 256 whose contrast with white is at least 4.5 : 1. No
meaning is carried by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, Punctuation, String, Token
from pygments.util import ClassNotFound
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pygments.lexer import Lexer
    from pygments.token import _TokenType

    from diffucli.ui.theme import Theme

PLAIN = "."

# Syntax classes are one letter each, so the classes of a text are a string as long as the text.
CLASSES = {
    Comment: "c",
    Keyword: "k",
    Keyword.Constant: "n",
    Keyword.Type: "t",
    Name.Builtin: "t",
    Name.Class: "d",
    Name.Decorator: "@",
    Name.Exception: "t",
    Name.Function: "d",
    Name.Tag: "k",
    Number: "n",
    Literal: "n",
    Operator: "o",
    Operator.Word: "k",
    Punctuation: "o",
    String: "s",
    String.Doc: "c",
    Token: PLAIN,
}

# Shades. CONTEXT: outside the holes. WRITTEN: committed some steps ago. WINDOW_MASK: a mask in the window, where the
# next commits happen. REMASKED: a mask that was a token before the last step. END: an end token.
CONTEXT, WRITTEN, MASK, WINDOW_MASK, REMASKED, END = "c", "i", "m", "w", "x", "e"
FRESH = "0123"  # committed by the last step, by the one before, …


@dataclass(frozen=True, slots=True)
class Palette:
    """The styles of a theme.

    syntax: of written text, by its class. shades: of what has no syntax colours, by its shade. context: of text outside
    the holes, added to that of its class. faint: of what matters little. done, open: of the progress bar. head, added,
    removed, place: of the lines of a diff.
    """

    syntax: Mapping[str, Style]
    shades: Mapping[str, Style]
    context: Style
    faint: Style
    done: Style
    open: Style
    head: Style
    added: Style
    removed: Style
    place: Style


DARK = Palette(
    syntax={
        PLAIN: Style(),
        "c": Style(color="green", dim=True, italic=True),
        "k": Style(color="magenta"),
        "t": Style(color="cyan"),
        "d": Style(color="bright_blue", bold=True),
        "@": Style(color="bright_magenta"),
        "n": Style(color="bright_cyan"),
        "o": Style(dim=True),
        "s": Style(color="green"),
    },
    shades={
        MASK: Style(color="blue", dim=True),
        WINDOW_MASK: Style(color="blue"),
        REMASKED: Style(color="red", bold=True),
        END: Style(dim=True),
        FRESH[0]: Style(color="bright_yellow", bold=True, reverse=True),
        FRESH[1]: Style(color="bright_yellow", bold=True),
        FRESH[2]: Style(color="yellow", bold=True),
        FRESH[3]: Style(color="yellow"),
    },
    context=Style(dim=True),
    faint=Style(dim=True),
    done=Style(color="yellow", bold=True),
    open=Style(color="blue", dim=True),
    head=Style(bold=True),
    added=Style(color="green"),
    removed=Style(color="red"),
    place=Style(color="cyan"),
)
_GREY, _DARK_GREY, _ORANGE, _BROWN = "color(243)", "color(240)", "color(130)", "color(94)"
LIGHT = Palette(
    syntax={
        PLAIN: Style(),
        "c": Style(color="color(58)", italic=True),
        "k": Style(color="color(90)"),
        "t": Style(color="color(24)"),
        "d": Style(color="color(25)", bold=True),
        "@": Style(color="color(125)"),
        "n": Style(color="color(23)"),
        "o": Style(color=_DARK_GREY),
        "s": Style(color="color(22)"),
    },
    shades={
        MASK: Style(color=_GREY),
        WINDOW_MASK: Style(color="color(25)"),
        REMASKED: Style(color="color(160)", bold=True),
        END: Style(color=_GREY),
        FRESH[0]: Style(color=_ORANGE, bold=True, reverse=True),
        FRESH[1]: Style(color=_ORANGE, bold=True),
        FRESH[2]: Style(color=_BROWN, bold=True),
        FRESH[3]: Style(color=_BROWN),
    },
    context=Style(color=_GREY, bold=False),
    faint=Style(color=_GREY),
    done=Style(color=_ORANGE, bold=True),
    open=Style(color=_GREY),
    head=Style(bold=True),
    added=Style(color="color(22)"),
    removed=Style(color="color(124)"),
    place=Style(color="color(24)"),
)
PALETTES: Mapping[Theme, Palette] = {"dark": DARK, "light": LIGHT}


@lru_cache(maxsize=512)
def style(kind: str, shade: str, theme: Theme = "dark") -> Style:
    """The style of a character of syntax class `kind` with `shade`; masks and fresh tokens have no syntax colours."""
    palette = PALETTES[theme]
    if shade in palette.shades:
        return palette.shades[shade]
    return palette.syntax[kind] + palette.context if shade == CONTEXT else palette.syntax[kind]


def code(text: str, language: str, theme: Theme) -> list[Segment]:
    """`text` in the colours of `language` (a Pygments name)."""
    runs = groupby(zip(text, classes(text, language), strict=True), key=itemgetter(1))
    return [Segment("".join(char for char, _ in run), style(kind, WRITTEN, theme)) for kind, run in runs]


def diff(text: str, theme: Theme) -> list[Segment]:
    """A unified diff in its colours."""
    palette = PALETTES[theme]
    looks = {"+": palette.added, "-": palette.removed, "@": palette.place}
    return [
        Segment(line, palette.head if line.startswith(("+++", "---", "diff ")) else looks.get(line[:1]))
        for line in text.splitlines(keepends=True)
    ]


@lru_cache(maxsize=4)
def classes(text: str, language: str) -> str:
    """The syntax class of each character of `text` in `language` (a Pygments name); all PLAIN if it is unknown."""
    lexer = _lexer(language)
    if lexer is None:
        return PLAIN * len(text)
    kinds = [_class(kind) * len(value) for _, kind, value in lexer.get_tokens_unprocessed(text)]
    return "".join(kinds).ljust(len(text), PLAIN)


@lru_cache(maxsize=8)
def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return None


@lru_cache(maxsize=256)
def _class(kind: _TokenType) -> str:
    while kind not in CLASSES:
        kind = kind.parent
    return CLASSES[kind]
