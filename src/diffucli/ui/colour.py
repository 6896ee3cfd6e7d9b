"""The style of a character: its syntax class comes from Pygments, its shade from what the run did to it.

Knows nothing of canvases or lines. Only the sixteen colours of the user's theme are used, so the view fits light, dark
and 16-colour terminals; no meaning is carried by colour alone.
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

SYNTAX_STYLES = {
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

# Shades. CONTEXT: outside the holes. WRITTEN: committed some steps ago. WINDOW_MASK: a mask in the window, where the
# next commits happen. REMASKED: a mask that was a token before the last step. END: an end token.
CONTEXT, WRITTEN, MASK, WINDOW_MASK, REMASKED, END = "c", "i", "m", "w", "x", "e"
FRESH = "0123"  # committed by the last step, by the one before, …

SHADE_STYLES = {
    MASK: Style(color="blue", dim=True),
    WINDOW_MASK: Style(color="blue"),
    REMASKED: Style(color="red", bold=True),
    END: Style(dim=True),
    FRESH[0]: Style(color="bright_yellow", bold=True, reverse=True),
    FRESH[1]: Style(color="bright_yellow", bold=True),
    FRESH[2]: Style(color="yellow", bold=True),
    FRESH[3]: Style(color="yellow"),
}


@lru_cache(maxsize=256)
def style(kind: str, shade: str) -> Style:
    """The style of a character of syntax class `kind` with `shade`; masks and fresh tokens have no syntax colours."""
    if shade in SHADE_STYLES:
        return SHADE_STYLES[shade]
    return SYNTAX_STYLES[kind] + Style(dim=True) if shade == CONTEXT else SYNTAX_STYLES[kind]


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
