"""What a command has written, as the undo store keeps it, and how it is read from there.

Does not know contents, but for their digests.
"""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffucli import files

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["written", "undone", "torn"]

DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{4}")
_END_OF_TIME = 1e11  # seconds; calendars of the system end somewhere later
_MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class FileWrite:
    """One file of a write.

    path: the real file. before, after: the SHA-256 of its old and new content; before is None if the write created it.
    state: what the file holds as far as diffu knows; torn: partly the old and partly the new content. since: the time
    of that, in seconds since the epoch. mode: permission bits of a created file that was deleted again.
    """

    path: Path
    before: str | None
    after: str
    state: State
    since: float
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """What one command wrote, under one id.

    time: seconds since the epoch. doing: what a process is about to do with the files, or was when it was killed.
    """

    id: str
    time: float
    files: tuple[FileWrite, ...]
    doing: Literal["", "write", "undo", "redo"] = ""

    def holding(self, *states: State) -> tuple[FileWrite, ...]:
        """The files in one of these states."""
        return tuple(file for file in self.files if file.state in states)

    def is_below(self, folder: Path) -> bool:
        """Whether a file of it is in `folder` or below."""
        return any(file.path.is_relative_to(folder) for file in self.files)

    @property
    def digests(self) -> set[str]:
        """Those of all contents."""
        return {digest for file in self.files for digest in (file.before, file.after) if digest is not None}

    @property
    def names(self) -> str:
        """The names of its files, for a message."""
        return ", ".join(file.path.name for file in self.files)


def states(*, redo: bool) -> tuple[State, ...]:
    """The states of files that `undo`, or `redo`, changes."""
    return ("undone", "torn") if redo else ("written", "torn")


def in_order(writes: Iterable[Write], *, redo: bool) -> list[Write]:
    """The writes that can be undone, the newest first; or redone, the one that was undone last first."""
    found = [write for write in writes if write.holding(*states(redo=redo))]
    if redo:
        found.sort(key=lambda write: max(file.since for file in write.holding(*states(redo=True))), reverse=True)
    return found


def to_json(write: Write) -> bytes:
    """What `read_write` reads."""
    made = [{name: getattr(file, name) for name in FileWrite.__slots__} for file in write.files]
    values = {"id": write.id, "time": write.time, "files": made, "doing": write.doing}
    return json.dumps(values, default=str).encode("ascii")


def read_write(file: Path) -> Write | None:
    """The write in `file`; None if it is damaged or no regular file."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        if _ID.fullmatch(file.stem):
            values = files.read_json(file, _MAX_BYTES)
            made = tuple(_read_file(each) for each in values["files"])
            if made and values["doing"] in {"", "write", "undo", "redo"}:
                return Write(file.stem, _seconds(values["time"]), made, values["doing"])
    return None


def digests_in(file: Path) -> set[str]:
    """Those that a damaged entry names; none if it is no file, or too large for one. OSError: it cannot be read."""
    try:
        return set(DIGEST.findall(files.read_bytes(file, _MAX_BYTES).decode("latin-1")))
    except OSError as exc:
        if exc.errno in {errno.EINVAL, errno.EISDIR, errno.EFBIG, errno.ELOOP}:
            return set()
        raise


def _read_file(values: dict[str, Any]) -> FileWrite:
    """A file of a write. ValueError, TypeError, KeyError: it is damaged."""
    file = FileWrite(**{**values, "path": Path(values["path"]), "since": _seconds(values["since"])})
    if (
        file.state not in {"written", "undone", "torn"}
        or not file.path.is_absolute()
        or b"\0" in os.fsencode(file.path)
    ):
        raise ValueError(file)
    if file.mode is not None and not 0 <= file.mode <= 0o7777:  # noqa: PLR2004 — all permission bits
        raise ValueError(file)
    if not (DIGEST.fullmatch(file.after) and (file.before is None or DIGEST.fullmatch(file.before))):
        raise ValueError(file)
    return file


def _seconds(value: object) -> float:
    """A time since the epoch. ValueError, TypeError: it is none."""
    if not isinstance(value, int | float) or not 0 <= value < _END_OF_TIME:
        raise ValueError(value)
    return float(value)
