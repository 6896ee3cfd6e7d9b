"""Pre-images of what was written, so that every write can be undone and redone without git.

Images are files named by their SHA-256, entries one small JSON file each; a lock file keeps processes from each other.
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
from diffucli.errors import DiffuError, TargetChanged, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = 86_400.0
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Write:
    """One write.

    time, undone: seconds since the epoch; undone is None while the write stands. path: the real file.
    before, after: SHA-256 of its content; before is None where the write created the file.
    """

    id: str
    time: float
    path: Path
    before: str | None
    after: str
    undone: float | None = None


@dataclass(frozen=True, slots=True)
class UndoStore:
    """The undo store in the folder `root`; nothing exists there before the first write.

    It keeps the newest `max_entries` writes within `max_bytes` of images, and the last write in any case.
    """

    root: Path
    max_entries: int = 200
    max_bytes: int = 200_000_000

    def record(self, path: Path, *, before: bytes | None, after: bytes) -> str:
        """Keep both images of a write that is about to happen; its id. WriteFailed: they could not be kept."""
        with self._locked():
            entry = Write(
                id=self._free_id(),
                time=max([time.time(), *(known.time + 1e-3 for known in self.entries()[:1])]),
                path=path,
                before=None if before is None else self._keep(before),
                after=self._keep(after),
            )
            self._put(entry)
            self._prune()
        return entry.id

    def forget(self, entry_id: str) -> None:
        """That write did not happen."""
        with self._locked():
            self._drop(entry for entry in self.entries() if entry.id == entry_id)

    def entries(self) -> tuple[Write, ...]:
        """All writes, newest first; damaged entries are left out."""
        found = (_read(file) for file in (self.root / "entries").glob("*.json"))
        return tuple(
            sorted((entry for entry in found if entry), key=lambda entry: (entry.time, entry.id), reverse=True)
        )

    def undo(self, entry_id: str | None = None) -> Write:
        """Put back what was there before a write (None: the last that stands); a file it created is deleted.

        UsageError: there is no such write, or it is undone already. TargetChanged: the file is not what that write made
        it. WriteFailed: the system refused, or the stored image is damaged.
        """
        with self._locked():
            standing = (entry for entry in self.entries() if entry.undone is None)
            entry = next(standing, None) if entry_id is None else self._named(entry_id)
            if entry is None:
                raise UsageError("there is nothing to undo", hint="diffu undo --list shows past writes")
            if entry.undone is not None and _digest(patch.content(entry.path)) != entry.after:
                raise UsageError(f"{entry.id} is undone already", hint=f"diffu undo {entry.id} --redo brings it back")
            return self._turn(replace(entry, undone=time.time()), have=entry.after, want=entry.before)

    def redo(self, entry_id: str | None = None) -> Write:
        """Write again what was undone (None: what was undone last). Raises as `undo`."""
        with self._locked():
            undone = [entry for entry in self.entries() if entry.undone is not None]
            last = max(undone, key=lambda entry: entry.undone or 0.0, default=None)
            entry = last if entry_id is None else self._named(entry_id)
            if entry is None:
                raise UsageError("there is nothing to redo", hint="diffu undo --list shows past writes")
            if entry.undone is None and _digest(patch.content(entry.path)) != entry.before:
                raise UsageError(f"{entry.id} is not undone", hint=f"diffu undo {entry.id} undoes it")
            return self._turn(replace(entry, undone=None), have=entry.before, want=entry.after)

    def image(self, digest: str) -> Path:
        """Where the image with that SHA-256 lies."""
        return self.root / "objects" / digest

    def _turn(self, entry: Write, *, have: str | None, want: str | None) -> Write:
        """Change the file from one image to the other, its entry first; a file that is there already stays."""
        current = patch.content(entry.path)
        if _digest(current) not in {have, want}:
            hint = f"its former content is kept in {self.image(want)}" if want else "delete it yourself"
            raise TargetChanged(f"{entry.path}: changed since write {entry.id}; left as it is", hint=hint)
        known = self._named(entry.id)
        self._put(entry)
        if _digest(current) == want:
            return entry
        try:
            if want is not None:
                patch.put(entry.path, self._load(want), old=current)
            elif current is not None:
                patch.remove(entry.path, old=current)
        except DiffuError:
            self._put(known)
            raise
        return entry

    def _named(self, entry_id: str) -> Write:
        entries = self.entries()
        for entry in entries:
            if entry.id == entry_id:
                return entry
        recent = ", ".join(f"{entry.id} ({entry.path.name})" for entry in entries[:_LISTED])
        raise UsageError(
            f"there is no write {entry_id!r}", hint=f"the last ones: {recent}" if recent else "none is kept"
        )

    def _load(self, digest: str) -> bytes:
        try:
            data = self.image(digest).read_bytes()
        except FileNotFoundError:
            data = b""
        if _digest(data) != digest:
            raise WriteFailed(f"{self.image(digest)}: is damaged or missing", hint="restore the file from elsewhere")
        return data

    def _keep(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        image = self.image(digest)
        if not image.is_file() or _digest(image.read_bytes()) != digest:
            patch.swap(image, data)
        return digest

    def _put(self, entry: Write) -> None:
        values = asdict(entry) | {"path": str(entry.path)}
        patch.swap(self._file(entry.id), json.dumps(values).encode("ascii"))

    def _file(self, entry_id: str) -> Path:
        return self.root / "entries" / f"{entry_id}.json"

    def _free_id(self) -> str:
        while self._file(name := secrets.token_hex(2)).exists():
            pass
        return name

    def _prune(self) -> None:
        """Drop the oldest entries beyond the bounds, never the last one."""
        entries = self.entries()
        seen: set[str] = set()
        used = 0
        for count, entry in enumerate(entries):
            fresh = _images(entry) - seen
            used += sum(self.image(digest).stat().st_size for digest in fresh if self.image(digest).is_file())
            seen |= fresh
            if count and (count >= self.max_entries or used > self.max_bytes):
                self._drop(entries[count:])
                return

    def _drop(self, entries: Iterable[Write]) -> None:
        """Delete entries and the images that only they named, with those that a crash left behind a day ago."""
        dropped = set()
        for entry in entries:
            self._file(entry.id).unlink(missing_ok=True)
            dropped |= _images(entry)
        live = {digest for entry in self.entries() for digest in _images(entry)}
        for image in (self.root / "objects").iterdir():
            stale = image.name in dropped or image.stat().st_mtime < time.time() - _DAY
            if stale and image.name not in live:
                image.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The store to this process alone; the system's refusals to write to it are a WriteFailed."""
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
    """Where the undo store lies: $DIFFU_STATE/undo if that is set, else the user's state folder."""
    state = os.environ.get("DIFFU_STATE") or platformdirs.user_state_dir("diffu", appauthor=False)
    return Path(state).expanduser().absolute() / "undo"


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _images(entry: Write) -> set[str]:
    return {digest for digest in (entry.before, entry.after) if digest is not None}


def _read(file: Path) -> Write | None:
    """The entry in `file`; None where it is damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        values = json.loads(file.read_bytes())
        entry = Write(
            id=file.stem,
            time=float(values["time"]),
            path=Path(values["path"]),
            before=values["before"],
            after=values["after"],
            undone=None if values["undone"] is None else float(values["undone"]),
        )
        if all(_DIGEST.fullmatch(digest) for digest in _images(entry)):
            return entry
    return None
