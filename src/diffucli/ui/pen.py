"""Turns the bytes of tokens into characters that may be shown, each with the shade of its token.

Knows nothing of canvases, colours or rows.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

from diffucli.ui.glyphs import combines, escaped, visible
from diffucli.ui.sheet import Sheet


def standalone(raw: bytes, encoding: str) -> str | None:
    """The text that `raw` shows, or None if it begins or ends inside a character."""
    try:
        return visible(raw.decode(), encoding)
    except UnicodeDecodeError:
        return None


class Pen:
    """Writes a sheet from left to right. A character may span tokens; one that stays incomplete is shown as �."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._incomplete = False  # the last token ended inside a character
        self._shade = ""
        self._text: list[str] = []
        self._code: list[str] = []
        self._shades: list[str] = []
        self.length = 0

    def write(self, raw: bytes, whole: str | None, shade: str) -> None:
        """Appends a token's bytes. whole: `standalone(raw)`, which callers cache."""
        if whole is None or self._incomplete:
            whole = visible(self._decoder.decode(raw), self._encoding)
            self._incomplete = bool(self._decoder.getstate()[0])
        self._shade = shade
        self._put(whole, whole)

    def glyph(self, glyph: str, shade: str) -> None:
        """Appends a glyph that is not text; the lexer sees a blank."""
        self.end()
        self._shade = shade
        self._put(glyph, " " * len(glyph))

    def end(self) -> None:
        """Writes what there is of an incomplete character, as nothing will complete it."""
        if self._incomplete:
            rest = visible(self._decoder.decode(b"", final=True), self._encoding)
            self._decoder.reset()
            self._incomplete = False
            self._put(rest, rest)

    def sheet(self) -> Sheet:
        """Everything written so far."""
        self.end()
        return Sheet("".join(self._text), "".join(self._code), "".join(self._shades))

    def _put(self, text: str, code: str) -> None:
        if not text:
            return
        if not text.isascii() and combines(text) and not self._carries():
            text = code = escaped(text[0]) + text[1:]
        self._text.append(text)
        self._code.append(code)
        self._shades.append(self._shade * len(text))
        self.length += len(text)

    def _carries(self) -> bool:
        """Whether a combining mark can be drawn onto the last character."""
        return bool(self._code) and not self._code[-1][-1].isspace()
