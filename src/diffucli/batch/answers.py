"""The file in which a batch is answered: a line a sample, appended whole by one process, and settings beside it."""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import count
from typing import TYPE_CHECKING, Any

from diffucli import atomic, files
from diffucli.errors import UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SETTINGS = ".settings.json"
BEGINNING = b'{"id": '  # of each line
ANOTHER = "name another file with -o"
Sample = tuple[str, int]  # the key of a row, and the number of its sample


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """What is known of a line: where it stands, in bytes, the digest of what its row asked, and its status."""

    offset: int
    size: int
    digest: str
    status: int


class AnswerFile:
    """An open file of answers, which no other process writes meanwhile."""

    def __init__(self, path: Path) -> None:
        """Opens or creates it, cuts a line that was written in part, and reads the others.

        WriteFailed: it cannot be opened. UsageError: another process writes it, or it holds something else, of which
        nothing is cut.
        """
        self.path = path
        with _as_write_failed(path):
            self._open()

    def _open(self) -> None:
        self.lines: dict[Sample, AnswerLine] = {}
        self._end = 0
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)  # a named pipe is not waited for
        self._file = FileIO(os.open(self.path, flags, 0o666), "r+")
        try:
            self._require_own()
            self._read_all()
        except BaseException:
            self.close()
            raise

    def _require_own(self) -> None:
        """UsageError: it is no file, or another process holds it."""
        if not self.path.is_file():
            raise UsageError(f"{self.path} is no file", hint=ANOTHER)
        if not atomic.try_lock(self._file.fileno()):
            raise UsageError(f"{self.path} is being written by another batch", hint=f"wait for it, or {ANOTHER}")

    def close(self) -> None:
        """Lets others write it."""
        self._file.close()

    def append(self, values: Mapping[str, Any]) -> None:
        """Adds a line in one write. WriteFailed: the system refuses it; a part of the line is cut next time."""
        line = json.dumps(values).encode() + b"\n"
        with _as_write_failed(self.path):
            self._file.seek(self._end)
            atomic.write_fully(self._file, line)
        self._note(line)

    def values(self) -> Iterator[dict[str, Any]]:
        """What each line says, line by line."""
        for line in self.lines.values():
            yield files.parse_json(self._line(line))

    def sync(self) -> None:
        """Makes sure that all lines are on the disk. WriteFailed."""
        with _as_write_failed(self.path):
            os.fsync(self._file.fileno())

    def rewrite(self, samples: Iterable[Sample]) -> None:
        """Keeps the lines of these samples alone, in this order. The file is replaced in one step. WriteFailed."""
        with _as_write_failed(self.path):
            self._replace([self.lines[sample] for sample in samples])
            with closing(self._file):
                self._open()

    def _replace(self, chosen: Sequence[AnswerLine]) -> None:
        target = files.real(self.path)
        new = atomic.write_beside(target, b"", mode=0o666, like=os.fstat(self._file.fileno()))
        try:
            with new.open("wb") as file:
                for line in chosen:
                    file.write(self._line(line))
                file.flush()
                os.fsync(file.fileno())
            new.replace(target)
        except BaseException:
            atomic.discard(new)
            raise
        atomic.sync_folder(target.parent)

    def _line(self, line: AnswerLine) -> bytes:
        self._file.seek(line.offset)
        return self._file.read(line.size) or b""

    def _read_all(self) -> None:
        with open(self._file.fileno(), "rb", closefd=False) as file:
            for number in count(1):
                line = file.readline()
                try:
                    if not line.endswith(b"\n"):
                        self._require_torn(line)
                        break
                    self._note(line)
                except (ValueError, KeyError, TypeError) as exc:
                    raise UsageError(f"{self.path}:{number}: this is no answer of a batch", hint=ANOTHER) from exc
        os.ftruncate(self._file.fileno(), self._end)

    def _require_torn(self, line: bytes) -> None:
        """ValueError: `line`, the last one, is not the part of an answer. A crash may leave zeros in its place."""
        part = line.rstrip(b"\0")
        begins = part.startswith(BEGINNING) or BEGINNING.startswith(part)
        if line and not (begins and (self.lines or _beside(self.path).exists())):
            raise ValueError("something else than answers")

    def _note(self, line: bytes) -> None:
        values = files.parse_json(line)
        key, sample, digest, status = (values[name] for name in ("id", "sample", "digest", "status"))
        self.lines[str(key), int(sample)] = AnswerLine(self._end, len(line), str(digest), int(status))
        self._end += len(line)


@contextmanager
def opened(path: Path) -> Iterator[AnswerFile]:
    """As `AnswerFile`, closed at the end."""
    with closing(AnswerFile(path)) as file:
        yield file


def settle(file: AnswerFile, settings: Mapping[str, Any]) -> None:
    """Keeps `settings` beside a new file; those of an older one must be the same. UsageError: they are not."""
    known = settings_of(file)
    if known is None:
        path = _beside(file.path)
        with _as_write_failed(path):
            atomic.write_atomic(path, json.dumps(settings, indent=2).encode() + b"\n", mode=0o666)
        return
    for name in {**known, **settings}:
        before, now = known.get(name), settings.get(name)
        if before != now:
            said = f"{name.replace('_', ' ')} {_shown(before)}, and now it is {_shown(now)}"
            raise UsageError(f"{file.path} was begun with {said}", hint=f"give the same settings, or {ANOTHER}")


def settings_of(file: AnswerFile) -> dict[str, Any] | None:
    """The settings that a file was begun with; None for a file without lines. UsageError: they cannot be read."""
    if not file.lines:
        return None
    path = _beside(file.path)
    try:
        return files.read_json(path)
    except (OSError, ValueError) as exc:
        message = f"{path} cannot be read ({files.reason(exc)}), which says how {file.path.name} was written"
        raise UsageError(message, hint=f"put it back, or {ANOTHER}") from exc


@contextmanager
def _as_write_failed(path: Path) -> Iterator[None]:
    """Raises what the system refuses as WriteFailed."""
    try:
        yield
    except OSError as exc:
        message = f"{path} cannot be written ({files.reason(exc)})"
        raise WriteFailed(message, hint="what is there stays; make room, or name another file with -o") from exc


def _beside(path: Path) -> Path:
    return path.with_name(path.name + SETTINGS)


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)
