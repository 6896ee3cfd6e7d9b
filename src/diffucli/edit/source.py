"""A file as it was read: its bytes, its text, and how to encode new text in the same way.

The text keeps its newlines; the byte order mark is a field of its own. `source.encode(source.text) == source.raw`.
"""

from __future__ import annotations

import codecs
import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 10_000_000
_TOO_LARGE = "larger than 10 MB", "give the part that matters on stdin"
_REFUSALS = {  # what the system says of a file → in our words, with a remedy
    errno.ENOENT: ("no such file", "check the path, or create the file first"),
    errno.EACCES: ("may not be read", "check its permissions: ls -l"),
    errno.EISDIR: ("is a directory", "name a file in it"),
    errno.EINVAL: ("is not a regular file", "give its content on stdin and '-' as the file"),
    errno.EFBIG: _TOO_LARGE,
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PYTHON_SUFFIXES = frozenset({".py", ".pyi", ".pyw"})
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_NO_CODE = re.compile(rb"[ \t\f]*(?:#.*)?")
_NEWLINE_BYTES = re.compile(rb"\r\n|\n|\r")
_PROBE = rb"+x- \x41\u0041"  # utf-7, utf-16 and the escape codecs decode this otherwise than ASCII does


@dataclass(frozen=True, slots=True)
class Source:
    r"""A text file.

    path: as given; None for stdin. raw: all bytes. text: without the byte order mark, newlines unchanged.
    encoding: the codec of the text. bom: the byte order mark, or empty. newline: the most frequent one, or "\n".
    """

    path: Path | None
    raw: bytes
    text: str
    encoding: str
    bom: bytes
    newline: str

    def encode(self, text: str) -> bytes:
        """Encode `text` as the file was encoded. UsageError: the encoding lacks a character."""
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as exc:
            character = text[exc.start]
            raise UsageError(
                f"{_name(self.path)}: {character!r} (U+{ord(character):04X}) cannot be written in {self.encoding}",
                hint="convert the file to UTF-8 first",
            ) from exc


def read(path: Path) -> Source:
    """Read the file at `path`; symlinks are followed. UsageError: it is no readable text file of at most 10 MB."""
    try:
        raw = files.read_bytes(path, MAX_BYTES)
    except (OSError, ValueError) as exc:
        code = exc.errno if isinstance(exc, OSError) else None
        what, hint = _REFUSALS.get(code or 0, (files.reason(exc), "check the path"))
        raise UsageError(f"{path}: {what}", hint=hint) from exc
    return from_bytes(raw, path)


def from_bytes(raw: bytes, path: Path | None = None) -> Source:
    """Decode `raw`; the path decides whether a coding comment counts. UsageError: it is too large, or no text."""
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{_name(path)}: {_TOO_LARGE[0]}", hint=_TOO_LARGE[1])
    bom, encoding = _encoding(raw, path)
    body = raw[len(bom) :]
    try:
        text = body.decode(encoding)
        exact = text.encode(encoding) == body
    except UnicodeError as exc:
        raise _undecodable(raw, path, encoding, exc) from exc
    if "\0" in text:
        raise _binary(path)
    if not exact:
        raise UsageError(
            f"{_name(path)}: its {encoding} bytes would not survive a rewrite", hint="convert the file to UTF-8 first"
        )
    return Source(path, raw, text, encoding, bom, _newline(text))


def of_text(text: str) -> Source:
    """The source of a text that was in no file; a coding comment in it means nothing. UsageError: it is no text."""
    try:
        raw = text.encode()
    except UnicodeEncodeError as exc:
        raise UsageError("the text holds half a surrogate pair", hint="write it in UTF-8") from exc
    if len(raw) > MAX_BYTES:
        raise UsageError(f"the text is {_TOO_LARGE[0]}", hint=_TOO_LARGE[1])
    if "\0" in text:
        raise _binary(None)
    return Source(None, raw, text, "utf-8", b"", _newline(text))


def _name(path: Path | None) -> str:
    return "stdin" if path is None else str(path)


def _encoding(raw: bytes, path: Path | None) -> tuple[bytes, str]:
    """The byte order mark and the codec: from the mark, else from a coding comment (PEP 263) if it may be Python."""
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return bom, encoding
    suffix = "" if path is None else path.suffix.lower()
    declared = _declared(raw) if suffix == "" or suffix in _PYTHON_SUFFIXES else None
    if declared is None:
        return b"", "utf-8"
    codec = _codec(declared)
    if codec is None and suffix in _PYTHON_SUFFIXES:
        raise UsageError(
            f"{_name(path)}: its coding comment names {declared!r}, which is no encoding for source code",
            hint="correct the comment, or convert the file to UTF-8",
        )
    return b"", codec or "utf-8"


def _declared(raw: bytes) -> str | None:
    """The encoding that a comment in the first two lines declares; a comment below code does not count."""
    for line in _NEWLINE_BYTES.split(raw, maxsplit=2)[:2]:
        if match := _COOKIE.match(line):
            return re.sub(r"-(unix|dos|mac)$", "", match[1].decode("ascii"))
        if not _NO_CODE.fullmatch(line):
            return None
    return None


def _codec(name: str) -> str | None:
    """The canonical name of a codec; None if it is unknown or does not decode ASCII as ASCII."""
    try:
        if _PROBE.decode(name) != _PROBE.decode("ascii"):
            return None
    except (LookupError, ValueError):
        return None
    canonical = codecs.lookup(name).name
    return "utf-8" if canonical == "utf-8-sig" else canonical


def _newline(text: str) -> str:
    both = text.count("\r\n")
    counts = {"\n": text.count("\n") - both, "\r\n": both, "\r": text.count("\r") - both}
    return max(counts, key=lambda newline: counts[newline])


def _binary(path: Path | None) -> UsageError:
    return UsageError(f"{_name(path)}: is binary, not text", hint="name a source file")


def _undecodable(raw: bytes, path: Path | None, encoding: str, exc: UnicodeError) -> UsageError:
    if b"\0" in raw and not encoding.startswith("utf-16"):
        return _binary(path)
    where = f" from byte {exc.start} on" if isinstance(exc, UnicodeDecodeError) else ""
    return UsageError(
        f"{_name(path)}: is not valid {encoding}{where}",
        hint="convert it, e.g. iconv -f latin1 -t utf-8; Python files may name another encoding in a coding comment",
    )
