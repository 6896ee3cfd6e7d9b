"""How a character looks: its syntax class by Pygments, its shade by what the run did to it.

Knows nothing of canvases or lines. Only the sixteen colours of the user's own theme are used, so light, dark and
16-colour terminals are all served; nothing is told by colour alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, Punctuation, String, Token
from pygments.util import ClassNotFound
from rich.style import Style

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

PLAIN = "."

# Syntax classes, one letter each, so that the classes of a text are a string as long as the text.
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

INKS = {
    PLAIN: Style(),
    "c": Style(color="green", dim=True, italic=True),
    "k": Style(color="magenta"),
    "t": Style(color="cyan"),
    "d": Style(color="bright_blue", bold=True),
    "@": Style(color="bright_magenta"),
    "n": Style(color="bright_cyan"),
    "o": Style(dim=True),
    "s": Style(color="green"),
}

# Shades: what the run did to a character. AWAITED: a mask in the window. TAKEN: a token this step made a mask again.
CONTEXT, INK, MASK, AWAITED, TAKEN, END = "c", "i", "m", "w", "x", "e"
WET = "0123"  # ink committed by this step, one step ago, …

SHADES = {
    MASK: Style(color="blue", dim=True),
    AWAITED: Style(color="blue"),
    TAKEN: Style(color="red", bold=True),
    END: Style(dim=True),
    WET[0]: Style(color="bright_yellow", bold=True, reverse=True),
    WET[1]: Style(color="bright_yellow", bold=True),
    WET[2]: Style(color="yellow", bold=True),
    WET[3]: Style(color="yellow"),
}


@lru_cache(maxsize=256)
def style(kind: str, shade: str) -> Style:
    """The style of a character of syntax class `kind` under `shade`; wet ink and masks hide the syntax."""
    if shade in SHADES:
        return SHADES[shade]
    return INKS[kind] + Style(dim=True) if shade == CONTEXT else INKS[kind]


@lru_cache(maxsize=4)
def classes(text: str, language: str) -> str:
    """The syntax class of each character of `text` in `language` (a Pygments name; an unknown one leaves it plain)."""
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
