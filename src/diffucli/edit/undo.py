"""The undo store: the old and new content of every file that was written, so that writes can be undone without git.

Contents are files named by their SHA-256; each write is a small JSON file. A lock file serialises processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from diffucli.edit import patch
from diffucli.edit.patch import Change
from diffucli.errors import TargetChanged, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = 86_400.0
_LISTED = 5  # recent writes named in a message


@dataclass(frozen=True, slots=True)
class Write:
    """One write to one file.

    time, undone: seconds since the epoch; undone is None unless the write was undone. path: the real file.
    before, after: the SHA-256 of its old and new content; before is None if the write created the file.
    """

    id: str
    time: float
    path: Path
    before: str | None
    after: str
    undone: float | None = None


@dataclass(frozen=True, slots=True)
class UndoStore:
    """The undo store in the folder `root`, which is created by the first write.

    It keeps the newest `max_writes` writes whose contents take at most `max_bytes`, and always the writes of the last
    `record`.
    """

    root: Path
    max_writes: int = 200
    max_bytes: int = 200_000_000

    def record(self, changes: Sequence[Change]) -> list[str]:
        """Keep the old and new content of changes about to be written; their ids. WriteFailed: nothing was kept."""
        recorded: list[Write] = []
        with self._locked():
            known = self.writes()
            now = max([time.time(), *(write.time + 1e-3 for write in known[:1])])
            try:
                for count, change in enumerate(changes):
                    recorded.append(self._write_of(change, now + count * 1e-3))
                    for data in (change.old, change.new):
                        self._keep(data)
                    self._save(recorded[-1])
            except BaseException:
                self._drop(recorded)
                raise
            self._prune(keep=len(recorded))
        return [write.id for write in recorded]

    def forget(self, ids: Iterable[str]) -> None:
        """Drop writes that did not happen after all."""
        dropped = frozenset(ids)
        with self._locked():
            self._drop(write for write in self.writes() if write.id in dropped)

    def writes(self) -> tuple[Write, ...]:
        """All writes, newest first; damaged records are skipped."""
        found = (_read(file) for file in (self.root / "entries").glob("*.json"))
        return tuple(
            sorted((write for write in found if write), key=lambda write: (write.time, write.id), reverse=True)
        )

    def undo(self, write_id: str | None = None) -> Write:
        """Restore the old content of a write (None: the last one that is not undone); delete a file it created.

        UsageError: there is no such write, or it is undone already. TargetChanged: the file does not hold what was
        written. WriteFailed: the system refused, or the kept content is damaged.
        """
        with self._locked():
            standing = (write for write in self.writes() if write.undone is None)
            write = next(standing, None) if write_id is None else self._find(write_id)
            if write is None:
                raise UsageError("there is nothing to undo", hint="diffu undo --list shows past writes")
            if write.undone is not None and _digest(patch.content(write.path)) != write.after:
                raise UsageError(f"{write.id} is undone already", hint=f"diffu undo {write.id} --redo brings it back")
            return self._switch(write, replace(write, undone=time.time()), have=write.after, want=write.before)

    def redo(self, write_id: str | None = None) -> Write:
        """Restore the new content of a write that was undone (None: the one undone last). Raises as `undo`."""
        with self._locked():
            undone = [write for write in self.writes() if write.undone is not None]
            last = max(undone, key=lambda write: write.undone or 0.0, default=None)
            write = last if write_id is None else self._find(write_id)
            if write is None:
                raise UsageError("there is nothing to redo", hint="diffu undo --list shows past writes")
            if write.undone is None and _digest(patch.content(write.path)) != write.before:
                raise UsageError(f"{write.id} is not undone", hint=f"diffu undo {write.id} undoes it")
            return self._switch(write, replace(write, undone=None), have=write.before, want=write.after)

    def object_path(self, digest: str) -> Path:
        """The file that holds the content with this SHA-256."""
        return self.root / "objects" / digest

    def _write_of(self, change: Change, now: float) -> Write:
        after = _digest(change.new)
        assert after is not None, "deletions are not recorded"
        return Write(self._free_id(), now, change.target, _digest(change.old), after)

    def _switch(self, write: Write, switched: Write, *, have: str | None, want: str | None) -> Write:
        """Give the file the content `want` in place of `have`, and save `switched`, the new state of `write`, first.

        A file that has the content `want` already (after a crash) is not written.
        """
        current = patch.content(write.path)
        if _digest(current) not in {have, want}:
            hint = f"its former content is kept in {self.object_path(want)}" if want else "delete it yourself"
            raise TargetChanged(f"{write.path}: changed since write {write.id}; left as it is", hint=hint)
        new = current if _digest(current) == want else self._load(want)
        self._save(switched)
        try:
            patch.write_all([Change(write.path, current, new)], store=None)
        except BaseException:
            self._save(write)
            raise
        return switched

    def _find(self, write_id: str) -> Write:
        writes = self.writes()
        for write in writes:
            if write.id == write_id:
                return write
        recent = ", ".join(f"{write.id} ({write.path.name})" for write in writes[:_LISTED])
        raise UsageError(
            f"there is no write {write_id!r}", hint=f"the last ones: {recent}" if recent else "none is kept"
        )

    def _load(self, digest: str | None) -> bytes | None:
        if digest is None:
            return None
        try:
            data = self.object_path(digest).read_bytes()
        except FileNotFoundError:
            data = b""
        if _digest(data) != digest:
            raise WriteFailed(
                f"{self.object_path(digest)}: is damaged or missing", hint="restore the file from elsewhere"
            )
        return data

    def _keep(self, data: bytes | None) -> None:
        if data is None:
            return
        digest = hashlib.sha256(data).hexdigest()
        path = self.object_path(digest)
        if not path.is_file() or _digest(path.read_bytes()) != digest:
            patch.write_atomic(path, data)

    def _save(self, write: Write) -> None:
        values = asdict(write) | {"path": str(write.path)}
        patch.write_atomic(self._file(write.id), json.dumps(values).encode("ascii"))

    def _file(self, write_id: str) -> Path:
        return self.root / "entries" / f"{write_id}.json"

    def _free_id(self) -> str:
        while self._file(name := secrets.token_hex(2)).exists():
            pass
        return name

    def _prune(self, *, keep: int) -> None:
        """Drop the oldest writes beyond the limits, but never one of the newest `keep`."""
        writes = self.writes()
        counted: set[str] = set()
        used = 0
        for index, write in enumerate(writes):
            fresh = _digests(write) - counted
            used += sum(
                self.object_path(digest).stat().st_size for digest in fresh if self.object_path(digest).is_file()
            )
            counted |= fresh
            if index >= keep and (index >= self.max_writes or used > self.max_bytes):
                self._drop(writes[index:])
                return

    def _drop(self, writes: Iterable[Write]) -> None:
        """Delete writes and the contents that only they refer to, and what a crash left behind more than a day ago."""
        dropped = set()
        for write in writes:
            self._file(write.id).unlink(missing_ok=True)
            dropped |= _digests(write)
        live = {digest for write in self.writes() for digest in _digests(write)}
        for path in (self.root / "objects").iterdir():
            stale = path.name in dropped or path.stat().st_mtime < time.time() - _DAY
            if stale and path.name not in live:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock; raise OSErrors as WriteFailed."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in ("entries", "objects"):
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
                yield
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise WriteFailed(
                f"the undo store {self.root} cannot be written: {exc.strerror or exc}; the file is as it was",
                hint="set DIFFU_STATE to a folder that can be written",
            ) from exc


def default_root() -> Path:
    """The folder of the undo store: $DIFFU_STATE/undo if that is set, else in the user's state folder."""
    state = os.environ.get("DIFFU_STATE") or platformdirs.user_state_dir("diffu", appauthor=False)
    return Path(state).expanduser().absolute() / "undo"


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _digests(write: Write) -> set[str]:
    return {digest for digest in (write.before, write.after) if digest is not None}


def _read(file: Path) -> Write | None:
    """The write in `file`; None if it is damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        values = json.loads(file.read_bytes())
        write = Write(
            id=file.stem,
            time=float(values["time"]),
            path=Path(values["path"]),
            before=values["before"],
            after=values["after"],
            undone=None if values["undone"] is None else float(values["undone"]),
        )
        if all(_DIGEST.fullmatch(digest) for digest in _digests(write)):
            return write
    return None
