"""Characters that are safe to send to a terminal; control and invisible characters are replaced by visible notation.

Knows nothing of tokens, colours or lines. Newlines and tabs stay, as the layout handles them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Controls, formats (bidi, zero width, tags), surrogates, unassigned characters (of unknown width), line separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
# What steers a terminal or turns its text around: controls but newlines and tabs, bytes that may be C1 controls, bidi.
STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\udc80-\udc9f]|\r(?!\n)")
# Letters and marks that are drawn as nothing: joiners, Hangul fillers, variation selectors.
BLANKS = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180F, 0x3164, 0xFFA0))) | frozenset(
    map(chr, (*range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the view is drawn with. done, open: the two parts of the progress bar. end: a run of end tokens.

    dot: the separator in the footer. more: text that was cut.
    """

    mask: str = "░"
    end: str = "·"
    done: str = "━"
    open: str = "─"
    dot: str = "·"
    more: str = "…"


ASCII = Glyphs(mask="_", end=".", done="=", open="-", dot="|", more="~")


def glyphs(encoding: str) -> Glyphs:
    """Glyphs that `encoding` can hold: all Unicode, or all ASCII. An unknown encoding counts as ASCII."""
    rich = Glyphs()
    drawn = rich.mask + rich.end + rich.done + rich.open + rich.dot + rich.more
    return rich if encodable(drawn, encoding) else ASCII


def visible(text: str, encoding: str) -> str:
    r"""`text` with control characters as pictures (␛) or ``\x9b``, and what `encoding` lacks as ``\u2591``.

    Newlines and tabs stay; the carriage return before a newline is dropped.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char, encoding) for char in text.replace("\r\n", "\n"))


def harmless(text: str, encoding: str) -> str:
    r"""`text` as it is, but for what steers a terminal, which is shown as `visible` shows it."""
    return STEERING.sub(lambda found: _visible(found[0], encoding), text)


def escaped(char: str) -> str:
    r"""The escape sequence of `char` in a Python string: ``\x1b``, ``\u202e``."""
    return char.encode("unicode_escape").decode("ascii")


def combines(text: str) -> bool:
    """Whether `text` begins with a combining mark, which a terminal draws onto the character before it."""
    return not text[:1].isascii() and unicodedata.category(text[0]).startswith("M")


def encodable(text: str, encoding: str) -> bool:
    """Whether `encoding` can hold all of `text`; False for an encoding that Python does not know."""
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
    """Whether `char` controls the terminal or is drawn as nothing."""
    return unicodedata.category(char) in HIDDEN or char in BLANKS


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:  # noqa: PLR2004 — the end of C0
        return chr(0x2400 + code)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 — a byte that could not be decoded
        return f"\\x{code - 0xDC00:02x}"
    return "␡" if char == "\x7f" else escaped(char)
