"""A trace as a file: lines of JSON, compressed by xz or as they are; read in bounds, since anyone may have made it."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.errors import UsageError
from diffucli.events import Beside, Event, Happening
from diffucli.trace.form import DAMAGED, MAX_LINE, Ending, Item, Reader, TraceJob, Values
from diffucli.trace.order import order_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_FILE = 8_000_000  # bytes
MAX_TEXT = 32_000_000  # bytes of all lines
MAGIC = b"\xfd7zXZ\0"
_DICTIONARY = 1 << 20
_MEMORY = 16_000_000  # bytes that the decompressor may take
_PIECE = 1 << 16
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _DICTIONARY}]


@dataclass(frozen=True, slots=True)
class Take:
    """What was written for one file, or for an answer. events: those of all candidates, in order."""

    job: TraceJob
    events: list[Event] = field(default_factory=list)

    def of(self, candidate: int) -> list[Happening]:
        """The events of one candidate, from 0. What was chosen stands at the end of those of candidate 0."""
        if candidate:
            return [each.event for each in self.events if isinstance(each, Beside) and each.number == candidate]
        return [each for each in self.events if not isinstance(each, Beside)]


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that was read. ending: what `--json` printed; None of a run that was interrupted."""

    reader: Reader
    takes: tuple[Take, ...]
    ending: Values | None

    @property
    def header(self) -> Values:
        """The values of the first line."""
        return self.reader.header


def compressed(lines: Iterable[bytes]) -> bytes:
    """The content of a file with these lines."""
    packer = lzma.LZMACompressor(check=lzma.CHECK_CRC32, filters=_FILTERS)
    return b"".join([*(packer.compress(line) for line in lines), packer.flush()])


def load(path: Path) -> Trace:
    """The trace in a file. UsageError: it cannot be read, or is damaged, cut off or none at all."""
    reader = Reader(str(path))
    return gathered(reader, read(reader, lines_of(content(path), str(path))))


def content(path: Path) -> bytes:
    """The bytes of a file. UsageError: it cannot be read."""
    try:
        return files.read_bytes(path, MAX_FILE)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path}: {files.reason(exc)}", hint="diffu log list shows the traces that there are") from exc


def gathered(reader: Reader, items: Iterable[Item]) -> Trace:
    """All of a trace. UsageError: events stand before the job that they belong to, or there are none."""
    takes: list[Take] = []
    ending = None
    for item in items:
        if isinstance(item, TraceJob):
            takes.append(Take(item))
        elif isinstance(item, Ending):
            ending = item.values
        elif not takes:
            raise UsageError(f"{reader.name}, line {reader.line}: an event before its job", hint=DAMAGED)
        else:
            takes[-1].events.append(item)
    if not reader.header:
        raise UsageError(f"{reader.name} is empty", hint=DAMAGED)
    return Trace(reader, tuple(takes), ending)


def read(reader: Reader, lines: Iterable[bytes]) -> Iterator[Item]:
    """What the lines tell, one by one. UsageError: as `Reader.take`, or the last line is cut off."""
    for line in lines:
        if not line.endswith(b"\n"):
            raise UsageError(f"{reader.name} is cut off in line {reader.line + 1}", hint=DAMAGED)
        if (item := reader.take(line)) is not None:
            yield item


def lines_of(data: bytes, name: str) -> Iterator[bytes]:
    """The lines of a file's content, with their ends. UsageError: they cannot be unpacked."""
    if not data.startswith(MAGIC):
        yield from data.splitlines(keepends=True)
        return
    rest, total = b"", 0
    for piece in _unpacked(data, name):
        total += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        if total > MAX_TEXT or len(rest) > MAX_LINE:
            raise UsageError(f"{name}: the trace is too long", hint=DAMAGED)
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _unpacked(data: bytes, name: str) -> Iterator[bytes]:
    packed = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
    try:
        yield packed.decompress(data, _PIECE)
        while not packed.eof:
            if packed.needs_input:
                raise UsageError(f"{name} is cut off", hint=DAMAGED)
            yield packed.decompress(b"", _PIECE)
    except (lzma.LZMAError, MemoryError) as exc:
        raise UsageError(f"{name}: the trace is damaged ({' '.join(str(exc).split())})", hint=DAMAGED) from exc
    if packed.unused_data:
        raise UsageError(f"{name}: something stands behind the trace", hint=DAMAGED)


def with_holes(events: Iterable[Happening], reader: Reader) -> str:
    """The canvas after `events` as text for people, its masks as holes that `diffu fill` takes.

    Masks in a row are a hole of so many tokens; those at the very end are one of free length.
    """
    order = order_of(events)
    tokens = [cell.token for cell in order.cells[slice(*order.shown)]]
    parts: list[bytes] = []
    masks = 0
    for token in [*tokens, None]:
        if token == order.mask:
            masks += 1
            continue
        if masks:
            parts.append(b"???" if token is None else b"???%d" % min(masks, 1024))
            masks = 0
        if token is None or token in order.ends:
            break
        parts.append(reader.piece(token))
    return b"".join(parts).decode("utf-8", "replace")
