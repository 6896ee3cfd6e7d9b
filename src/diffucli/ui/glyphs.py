"""Which characters may reach a terminal: whatever would steer it, or hide in it, becomes notation one can see.

Knows nothing of tokens, colours or lines. Newline and tab are left to the layout; every other control is replaced.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Controls, formats (bidi, zero width, tags), surrogates, unassigned (their width is unknown), line separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
# Letters and marks that draw nothing: joiners, Hangul fillers, variation selectors.
BLANKS = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180F, 0x3164, 0xFFA0))) | frozenset(
    map(chr, (*range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What a mask, a run of end tokens, the two halves of the progress bar and the footer's separator look like."""

    mask: str = "░"
    end: str = "·"
    done: str = "━"
    open: str = "─"
    dot: str = "·"
    more: str = "…"


ASCII = Glyphs(mask="_", end=".", done="=", open="-", dot="|", more="~")


def glyphs(encoding: str) -> Glyphs:
    """The drawn glyphs if `encoding` holds all of them, else ASCII ones. An unknown encoding counts as ASCII."""
    rich = Glyphs()
    drawn = rich.mask + rich.end + rich.done + rich.open + rich.dot + rich.more
    return rich if encodable(drawn, encoding) else ASCII


def visible(text: str, encoding: str) -> str:
    r"""`text` as it may be sent: controls as pictures (␛) or as ``\x1b``, what `encoding` lacks as ``\u2591``.

    A carriage return before a newline goes with it; newlines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char, encoding) for char in text.replace("\r\n", "\n"))


def escaped(char: str) -> str:
    r"""The character as Python would write it: ``\x1b``, ``\u202e``."""
    return char.encode("unicode_escape").decode("ascii")


def combines(text: str) -> bool:
    """Whether `text` begins with a mark that would be drawn onto whatever stands before it."""
    return not text[:1].isascii() and unicodedata.category(text[0]).startswith("M")


def encodable(text: str, encoding: str) -> bool:
    """Whether all of `text` can be written in `encoding`; never in one that Python does not know."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@lru_cache(maxsize=4096)
def _visible(char: str, encoding: str) -> str:
    if char in "\n\t":
        return char
    picture = _picture(char) if hides(char) else char
    return picture if encodable(picture, encoding) else escaped(char)


def hides(char: str) -> bool:
    """Whether `char` steers the terminal or draws nothing."""
    return unicodedata.category(char) in HIDDEN or char in BLANKS


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:  # noqa: PLR2004 — the end of C0
        return chr(0x2400 + code)
    return "␡" if char == "\x7f" else escaped(char)
