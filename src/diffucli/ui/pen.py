"""Tokens' bytes become characters that may be shown, each with the shade of its token.

Knows nothing of canvases, colours or rows.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

from diffucli.ui.glyphs import combines, escaped, visible
from diffucli.ui.sheet import Sheet


def standalone(raw: bytes, encoding: str) -> str | None:
    """What bytes show when they are whole characters, or None if they begin or end inside one."""
    try:
        return visible(raw.decode(), encoding)
    except UnicodeDecodeError:
        return None


class Pen:
    """Writes a sheet from left to right. Bytes of adjacent tokens are joined; what stays incomplete is shown as �."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._inside = False  # a character has begun and not ended
        self._shade = ""
        self._text: list[str] = []
        self._code: list[str] = []
        self._shades: list[str] = []
        self.length = 0

    def write(self, raw: bytes, whole: str | None, shade: str) -> None:
        """Appends a token's bytes; `whole` is `standalone` of them, which the caller may have kept."""
        if whole is None or self._inside:
            whole = visible(self._decoder.decode(raw), self._encoding)
            self._inside = bool(self._decoder.getstate()[0])
        self._shade = shade
        self._put(whole, whole)

    def glyph(self, glyph: str, shade: str) -> None:
        """Appends a glyph that stands for no text; the lexer sees a blank."""
        self.end()
        self._shade = shade
        self._put(glyph, " " * len(glyph))

    def end(self) -> None:
        """Ends a run of adjacent tokens: a character still incomplete stays so."""
        if self._inside:
            rest = visible(self._decoder.decode(b"", final=True), self._encoding)
            self._decoder.reset()
            self._inside = False
            self._put(rest, rest)

    def sheet(self) -> Sheet:
        """All that was written."""
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
        """Whether the last character may carry a combining mark."""
        return bool(self._code) and not self._code[-1][-1].isspace()
