"""The undo store: the old and new content of every file that was written, so that writes can be undone without git.

Contents are files named by their SHA-256; each command's writes are a small JSON file, saved before the files are
changed. What a killed process has done is decided by the content of the files. A lock serialises processes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs

from diffucli import atomic, files
from diffucli.edit import patch
from diffucli.edit.patch import Change
from diffucli.edit.writes import DIGEST, FileWrite, Write, digests_in, in_order, read_write, states, to_json
from diffucli.errors import DiffuError, TargetChanged, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from diffucli.edit.patch import Written

LOCK_SECONDS = 10.0  # how long a lock is waited for
_DAMAGED_DAYS = 30
_DAY = 86_400.0
_LISTED = 5  # recent writes named in a message


@dataclass(frozen=True, slots=True)
class UndoStore:
    """The undo store in the folder `root`, which is created by the first write.

    It keeps the newest `max_writes` writes whose contents take at most `max_bytes`, and always the newest one. tell:
    is called with what a user should know: interrupted writes, damaged entries, a wait for another process.
    """

    root: Path
    tell: Callable[[str], None] = lambda _text: None
    max_writes: int = 200
    max_bytes: int = 200_000_000

    def prepare(self) -> None:
        """Make sure that the store can be written, before the work whose result is to be written. WriteFailed."""
        with self._locked():
            for folder in (self._entries, self._objects):
                if not os.access(folder, os.W_OK):
                    raise PermissionError(errno.EACCES, f"{folder} may not be written")

    @contextmanager
    def recording(self, changes: Sequence[Change]) -> Iterator[str]:
        """Keep the old and new content of changes that are made inside; the id. WriteFailed: nothing was kept.

        If no file is changed inside, nothing is kept either.
        """
        with self._locked() as (writes, _):
            now = max([time.time(), *(write.time + 1e-3 for write in writes[:1])])
            try:
                for change in changes:
                    self._keep(change.old)
                    self._keep(change.new)
                write = Write(self._free_id(), now, tuple(_file_of(change, now) for change in changes), "write")
                with self._under_way(write):
                    yield write.id
            finally:
                with suppress(OSError):
                    self._tidy(self._prune(self._read_all()))

    def writes(self) -> tuple[Write, ...]:
        """All writes, newest first. WriteFailed: the store cannot be opened."""
        if not self.root.is_dir():
            return ()
        with self._locked() as (writes, _):
            return writes

    def last(self, *, below: Path, redo: bool = False) -> Write:
        """What `undo` (or `redo`) takes if nothing is named: the last write of files below a folder.

        A write, undo or redo that was interrupted comes first, although it may need nothing any more, so that repeating
        an interrupted command never changes another file. UsageError: there is none.
        """
        name, how = ("redo", " --redo") if redo else ("undo", "")
        elsewhere = None
        with self._locked() as (writes, interrupted):
            for write in (*interrupted, *in_order(writes, redo=redo)):
                if write.is_below(below) and not (redo and write.doing):
                    return write
                elsewhere = elsewhere or write
        if elsewhere is None:
            raise UsageError(f"there is nothing to {name}", hint="diffu undo --list shows past writes")
        hint = f"the last write elsewhere is that of {elsewhere.files[0].path}: diffu undo {elsewhere.id}{how}"
        raise UsageError(f"there is nothing to {name} below {below}", hint=hint)

    def before(self, write: Write, *, below: Path, redo: bool = False) -> Write | None:
        """What `last` gives if `write` is left out; None if there is none."""
        others = (other for other in in_order(self.writes(), redo=redo) if other.id != write.id)
        return next((other for other in others if other.is_below(below)), None)

    def find(self, name: str, *, redo: bool = False) -> tuple[Write, Path | None]:
        """The write with the id `name` and None, or the last write of the file `name` and its real path.

        UsageError: there is none, or it is undone already (redo: it is not).
        """
        writes = self.writes()
        for write in writes:
            if write.id == name:
                if not any(self._as_it_is(file).state in states(redo=redo) for file in write.files):
                    message, what = ("is not undone", "undoes it") if redo else ("is undone already", "brings it back")
                    how = f"diffu undo {name}{'' if redo else ' --redo'}"
                    raise UsageError(f"{name} {message}", hint=f"{how} {what}")
                return write, None
        path = files.real(Path(name))
        for write in in_order(writes, redo=redo):
            if any(file.path == path for file in write.holding(*states(redo=redo))):
                return write, path
        what = f"write of {name} to {'redo' if redo else 'undo'}" if path.exists() else f"write {name!r}"
        recent = ", ".join(f"{write.id} ({write.names})" for write in writes[:_LISTED])
        raise UsageError(f"there is no {what}", hint=f"the last ones: {recent}" if recent else "none is kept")

    def undo(self, write: Write, path: Path | None = None) -> Write:
        """Restore the old content of the files of a write (or of the one at `path`), all or none; delete created files.

        Returns the write as it is now. UsageError: it is not kept any more. TargetChanged: a file does not hold what
        was written. WriteFailed: the system refused, or the kept content is damaged.
        """
        return self._switch(write, path, "undo")

    def redo(self, write: Write, path: Path | None = None) -> Write:
        """Restore the new content of what was undone. Raises as `undo`."""
        return self._switch(write, path, "redo")

    def overwrite(self, write: Write, path: Path | None = None, *, redo: bool = False) -> list[Written]:
        """Restore files as `undo`, or `redo`, whatever they hold now, and those that are gone; a new write keeps that.

        UsageError: a file is to be deleted. TargetChanged, WriteFailed: as `undo`.
        """
        changes = []
        for file in write.files if path is None else [file for file in write.files if file.path == path]:
            target, wanted = files.real(file.path), self._load(file.after if redo else file.before)
            if wanted is None:
                raise UsageError(f"{file.path} was created by write {write.id}", hint="delete it yourself")
            changes.append(Change(target, patch.content(target), wanted))
        done = patch.write_all(changes, store=self)
        with self._locked():
            self._settle(read_write(self._file(write.id)) or write)
        return done

    def object_path(self, digest: str) -> Path:
        """The file that holds the content with this SHA-256."""
        return self._objects / digest

    @property
    def _entries(self) -> Path:
        return self.root / "entries"

    @property
    def _objects(self) -> Path:
        return self.root / "objects"

    @property
    def _damaged(self) -> Path:
        return self.root / "damaged"

    def _switch(self, write: Write, path: Path | None, doing: Literal["undo", "redo"]) -> Write:
        """Give the files that do not have it their old or new content, and save the new state of the write."""
        if write.doing:  # it was interrupted before it changed anything
            return write
        with self._locked() as (writes, _):
            if write.id not in {each.id for each in writes}:
                raise UsageError(
                    f"the write {write.id} is not kept any more", hint="diffu undo --list shows the others"
                )
            changes, marked = [], []
            for file in write.files:
                change = self._change(write, file, doing) if path in {None, file.path} else None
                changes += [change] if change else []
                marked.append(replace(file, mode=change.mode) if change else file)
            with self._under_way(replace(write, files=tuple(marked), doing=doing)):
                patch.write_all(changes, store=None)
            return read_write(self._file(write.id)) or write

    def _change(self, write: Write, file: FileWrite, doing: Literal["undo", "redo"]) -> Change | None:
        """The change that gives a file its old or new content, None if it has left that since. Raises TargetChanged."""
        target = files.real(file.path)
        current = patch.content(target)
        digest = _digest(current)
        want, done = (file.before, "undone") if doing == "undo" else (file.after, "written")
        if digest not in {file.before, file.after} and not (file.state == "torn" and self._is_torn(file, current)):
            if file.state == done:
                return None
            how = f"diffu undo {write.id}{' --redo' * (doing == 'redo')} --force"
            hint = f"{how} restores it all the same, which can be undone" if want else "delete it yourself"
            hint += f"; diffu undo{' --redo' * (doing == 'redo')} FILE takes one of the others" * (len(write.files) > 1)
            what = "is gone" if current is None else f"changed since write {write.id}; left as it is"
            raise TargetChanged(f"{file.path}: {what}", hint=hint)
        is_deletion = current is not None and want is None
        mode = stat.S_IMODE(target.stat().st_mode) if is_deletion else file.mode
        return Change(target, current, current if digest == want else self._load(want), mode)

    @contextmanager
    def _under_way(self, write: Write) -> Iterator[None]:
        """Save a write before its files are changed inside, and afterwards what they hold."""
        self._save(write)
        try:
            yield
        except DiffuError:
            if write.doing == "write":  # a file that holds something else now was not written by us
                write = replace(write, files=tuple(replace(file, state="undone") for file in write.files))
            self._try_to_settle(write)
            raise
        self._try_to_settle(write)

    def _try_to_settle(self, write: Write) -> None:
        """Settle a write. If the system refuses it, or a signal comes, the next command does it, as after a kill."""
        with suppress(OSError):
            self._settle(write)

    def _settle(self, write: Write) -> Write:
        """Save what the files of a write that was under way hold now. One that changed nothing is dropped."""
        for folder in {files.real(file.path).parent for file in write.files}:
            atomic.sweep(folder)
        settled = replace(write, files=tuple(self._as_it_is(file, torn=True) for file in write.files))
        if write.doing == "write" and not settled.holding(*states(redo=False)):
            self._file(write.id).unlink(missing_ok=True)
            return settled
        settled = replace(settled, doing="")
        self._save(settled)
        return settled

    def _as_it_is(self, file: FileWrite, *, torn: bool = False) -> FileWrite:
        """What `file` holds by its content. If somebody else has changed it, what it held before stands.

        torn: it may be torn.
        """
        state = file.state
        try:
            current = patch.content(files.real(file.path))
        except DiffuError:  # something else is in its place
            return file
        if (digest := _digest(current)) in {file.before, file.after}:
            state = "written" if digest == file.after else "undone"
        elif torn and self._is_torn(file, current):
            state = "torn"
        return file if state == file.state else replace(file, state=state, since=time.time())

    def _is_torn(self, file: FileWrite, current: bytes | None) -> bool:
        """Whether a content is partly the old and partly the new one."""
        with suppress(WriteFailed):
            old, new = self._load(file.before) or b"", self._load(file.after) or b""
            return current is not None and patch.is_mixture(current, old, new)
        return False

    def _load(self, digest: str | None) -> bytes | None:
        if digest is None:
            return None
        try:
            data = files.read_bytes(self.object_path(digest), patch.MAX_BYTES)
        except OSError:
            data = b""
        if _digest(data) != digest:
            raise WriteFailed(
                f"{self.object_path(digest)}: is damaged or missing", hint="restore the file from elsewhere"
            )
        return data

    def _keep(self, data: bytes | None) -> None:
        digest = _digest(data)
        if data is None or digest is None:
            return
        path = self.object_path(digest)
        with suppress(OSError):
            if _digest(files.read_bytes(path, patch.MAX_BYTES)) == digest:
                return
        atomic.write_atomic(path, data)

    def _save(self, write: Write) -> None:
        atomic.write_atomic(self._file(write.id), to_json(write))

    def _file(self, write_id: str) -> Path:
        return self._entries / f"{write_id}.json"

    def _free_id(self) -> str:
        while self._file(name := secrets.token_hex(2)).exists():
            pass
        return name

    def _read_all(self) -> list[Write]:
        """All writes, newest first. Entries that cannot be read are told once, and moved to a folder of their own."""
        found = []
        for file in self._entries.glob("*.json"):
            if write := read_write(file):
                found.append(write)
            else:
                with suppress(OSError):
                    self._damaged.mkdir(mode=0o700, exist_ok=True)
                    os.utime(file.replace(self._damaged / file.name))
                self.tell(f"{file} cannot be read, so that write cannot be undone; its contents are kept for 30 days")
        return sorted(found, key=lambda write: (write.time, write.id), reverse=True)

    def _prune(self, writes: list[Write]) -> list[Write]:
        """Drop the oldest writes beyond the limits, but never the newest; those that stay."""
        counted: set[str] = set()
        used = 0
        for index, write in enumerate(writes):
            for path in map(self.object_path, write.digests - counted):
                used += path.stat().st_size if path.is_file() else 0
            counted |= write.digests
            if index and (index >= self.max_writes or used > self.max_bytes):
                for dropped in writes[index:]:
                    self._file(dropped.id).unlink(missing_ok=True)
                return writes[:index]
        return writes

    def _tidy(self, writes: Iterable[Write]) -> None:
        """Delete what killed processes have half written, and contents that no entry names, damaged ones included."""
        for folder in (self._entries, self._objects):
            atomic.sweep(folder)
        named = {digest for write in writes for digest in write.digests}
        if self._damaged.is_dir():
            for entry in list(self._damaged.iterdir()):
                if entry.lstat().st_mtime < time.time() - _DAMAGED_DAYS * _DAY:
                    shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else atomic.discard(entry)
                else:
                    try:
                        named |= digests_in(entry)
                    except OSError:  # nobody knows which contents it names
                        return
        for path in list(self._objects.iterdir()):
            if path.name not in named and DIGEST.fullmatch(path.name):
                atomic.discard(path)

    @contextmanager
    def _locked(self) -> Iterator[tuple[tuple[Write, ...], tuple[Write, ...]]]:
        """Hold the store's lock; all writes, and those that were found interrupted. Raises OSErrors as WriteFailed."""
        try:
            for folder in (self.root, self._entries, self._objects):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic.locked(self.root / "lock", "the undo store", seconds=LOCK_SECONDS, tell=self.tell):
                writes = self._read_all()
                interrupted = tuple(self._settle(write) for write in writes if write.doing)
                for write in interrupted:
                    self._tell_of(write)
                writes = self._read_all() if interrupted else writes
                self._tidy(writes)
                yield tuple(writes), interrupted
        except OSError as exc:
            raise WriteFailed(
                f"the undo store {self.root} cannot be written: {exc.strerror or exc}; the file is as it was",
                hint="set DIFFU_STATE to a folder that can be written",
            ) from exc

    def _tell_of(self, write: Write) -> None:
        """Say what an interrupted command has left, if that is neither all nor nothing."""
        torn, written = write.holding("torn"), write.holding("written")
        if torn or (written and len(written) < len(write.files)):
            kinds = {"written in part": torn, "written": written, "not written": write.holding("undone")}
            said = (f"{', '.join(str(file.path) for file in of)} {kind}" for kind, of in kinds.items() if of)
            self.tell(f"write {write.id} was interrupted: {'; '.join(said)} (diffu undo {write.id} takes it back)")


def default_root() -> Path:
    """The folder of the undo store: $DIFFU_STATE/undo if that is set, else in the user's state folder."""
    state = os.environ.get("DIFFU_STATE") or platformdirs.user_state_dir("diffu", appauthor=False)
    return files.home(state).absolute() / "undo"


def _file_of(change: Change, now: float) -> FileWrite:
    after = _digest(change.new)
    assert after is not None, "deletions are not recorded"
    return FileWrite(change.target, _digest(change.old), after, "written", now)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
