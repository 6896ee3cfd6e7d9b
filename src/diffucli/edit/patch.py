"""Changes to files: as a unified diff that `git apply` accepts, and written to disk, all of them or none.

Does not know where pre-images are kept: the caller of `write_all` passes an `UndoLog`, such as `undo.UndoStore`.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from diffucli.errors import DiffuError, TargetChanged, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.edit.source import Source

_IN_PLACE = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY})  # the folder, owner or mount point forbids a rename
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "your quota on that disk is used up: free some space",
    errno.EROFS: "that disk is mounted read-only: write elsewhere with -o",
    errno.ENOENT: "create its folder first",
}
_TO_QUOTE = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_ESCAPES = {7: rb"\a", 8: rb"\b", 9: rb"\t", 10: rb"\n", 11: rb"\v", 12: rb"\f", 13: rb"\r", 34: rb"\"", 92: rb"\\"}


@dataclass(frozen=True, slots=True)
class Change:
    """New content for one file.

    target: the real file, never a symlink. old: its content when it was read; None if there was no such file.
    new: the content to write; None deletes the file.
    """

    target: Path
    old: bytes | None
    new: bytes | None

    @classmethod
    def of_source(cls, source: Source, new: bytes) -> Change:
        """A change of the file that `source` was read from. UsageError: it was read from stdin."""
        if source.path is None:
            raise UsageError("stdin cannot be written back", hint="leave out -w, or name a file with -o")
        return cls(_real(source.path), source.raw, new)

    @classmethod
    def of_path(cls, path: Path, new: bytes) -> Change:
        """A change of whatever `path` holds now, or a new file. UsageError: no folder, or not a regular file."""
        target = _real(path)
        if not target.parent.is_dir():
            raise UsageError(f"{path}: its folder does not exist", hint=f"mkdir -p {target.parent}")
        return cls(target, content(target), new)


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one change. changed: False if the file had the new content already. undo_id: for `diffu undo`."""

    path: Path
    changed: bool
    undo_id: str | None


class UndoLog(Protocol):
    """Keeps what is needed to undo changes."""

    def record(self, changes: Sequence[Change]) -> list[str]:
        """Keep the old and new content of changes about to be written; their ids. WriteFailed: nothing was kept."""

    def forget(self, ids: Iterable[str]) -> None:
        """Drop changes that were not written after all."""


class _NotRestored(WriteFailed):
    """A write failed, and the old content of `targets` could not be restored."""

    def __init__(self, message: str, targets: Iterable[Path]) -> None:
        super().__init__(message, hint="diffu undo says where its former content is kept")
        self.targets = frozenset(targets)


@dataclass(frozen=True, slots=True)
class _Staged:
    """A change that is ready to be written. file: the new content, next to the target; None: it is written in place."""

    change: Change
    file: Path | None


def unified_diff(source: Source, new: bytes, *, name: str) -> bytes:
    """The output of `git diff` for a change from `source` to `new`, in the file's encoding; empty if they are equal.

    name: the path in the header, relative to the folder where the patch will be applied, with "/" as the separator.
    """
    old_lines, new_lines = (re.findall(rb"[^\n]*\n|[^\n]+", image) for image in (source.raw, new))
    path = os.fsencode(name.lstrip("/").removeprefix("./"))
    old_path, new_path = (_quoted(side + path) for side in (b"a/", b"b/"))
    tab = b"\t" if b" " in path else b""  # git ends a name that has blanks with a tab
    lines = difflib.diff_bytes(
        difflib.unified_diff, old_lines, new_lines, old_path + tab, new_path + tab, lineterm=b"\n"
    )
    ended = [line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines]
    return b"".join([b"diff --git %b %b\n" % (old_path, new_path), *ended]) if ended else b""


def write_all(changes: Sequence[Change], *, store: UndoLog | None) -> list[Written]:
    """Write all changes or none; the results are in the order of `changes`.

    All files are staged and checked before the first one is replaced, and the changes are recorded in `store` (None: no
    undo). If a replacement fails, the files replaced before it get their old content back and the store forgets the
    changes.

    A file is replaced by a new one with its mode, owner and extended attributes. It is written in place if it has
    several names (hard links), or if its folder, owner or mount point forbids the replacement.

    UsageError: two changes are of one file. TargetChanged: a file no longer has the old content. WriteFailed: a file is
    read-only or the system refused; the message says so if a file could not be restored.
    """
    _require_distinct(changes)
    pending = [change for change in changes if change.new != change.old]
    ids: dict[Path, str] = {}
    staged: list[_Staged] = []
    try:
        staged.extend(_stage(change) for change in pending)  # those before a failure stay in the list
        for change in pending:
            _require_old(change)
        if store is not None and pending:
            ids = dict(zip((change.target for change in pending), store.record(pending), strict=True))
        _replace_all(staged)
    except BaseException as exc:
        lost = exc.targets if isinstance(exc, _NotRestored) else frozenset()
        if store is not None and ids:
            with suppress(WriteFailed):
                store.forget([ids[target] for target in ids if target not in lost])
        raise
    finally:
        _discard(staged)
    return [Written(change.target, change.new != change.old, ids.get(change.target)) for change in changes]


def write(source: Source, new: bytes, *, store: UndoLog | None) -> Written:
    """Write `new` to the file that `source` was read from; see `write_all`."""
    return write_all([Change.of_source(source, new)], store=store)[0]


def create(path: Path, new: bytes, *, store: UndoLog | None) -> Written:
    """Write `new` to `path`, whether or not it exists; see `write_all`."""
    return write_all([Change.of_path(path, new)], store=store)[0]


def content(target: Path) -> bytes | None:
    """The bytes of a file, None if it does not exist. UsageError: it is a folder, pipe or device."""
    with _as_write_failed(target):
        try:
            if not stat.S_ISREG(target.stat().st_mode):
                raise UsageError(f"{target}: is not a regular file", hint="name another file, or use stdout")
            return target.read_bytes()
        except FileNotFoundError:
            return None


def write_atomic(target: Path, data: bytes) -> None:
    """Replace `target` by a private file (mode 0600) that holds `data`. OSError: `target` is unchanged."""
    file = _write_beside(target, data, mode=0o600)
    try:
        file.replace(target)
    except BaseException:
        _unlink(file)
        raise
    _sync_folder(target.parent)


def _require_distinct(changes: Sequence[Change]) -> None:
    seen: dict[object, Path] = {}
    for change in changes:
        same = seen.setdefault(_identity(change.target), change.target)
        if same is not change.target:
            raise UsageError(f"{same} and {change.target} are one file", hint="name each file once")


def _identity(target: Path) -> object:
    """A value that two names have in common if they are of one file."""
    try:
        status = target.stat()
    except OSError:
        return target
    return status.st_dev, status.st_ino


def _stage(change: Change) -> _Staged:
    """Check that a change can be written, and write its new content next to the target if it may replace it."""
    target = change.target
    with _as_write_failed(target):
        _require_old(change)
        if change.new is None:
            return _Staged(change, None)
        if change.old is None:
            return _Staged(change, _write_beside(target, change.new, mode=0o666))
        status = target.stat()
        if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
            raise WriteFailed(f"{target}: is read-only", hint=f"chmod u+w {target}, or write elsewhere with -o")
        if status.st_nlink > 1:
            return _Staged(change, None)
        try:
            return _Staged(change, _write_beside(target, change.new, like=status))
        except OSError as exc:
            if exc.errno not in _IN_PLACE:
                raise
            return _Staged(change, None)


def _replace_all(staged: Sequence[_Staged]) -> None:
    """Write all staged changes; if one fails, restore those before it. _NotRestored: that failed for some."""
    done: list[Change] = []
    try:
        for one in sorted(staged, key=lambda one: one.file is not None):  # in place first: that needs free disk space
            done.append(one.change)  # before the write: an interrupt may come right after it
            _replace(one)
        for folder in {change.target.parent for change in done}:
            _sync_folder(folder)
    except BaseException as exc:
        if isinstance(exc, Exception):
            done.pop()  # its file is as it was
        _discard(staged)
        lost = [change.target for change in reversed(done) if not _restore(change)]
        if lost:
            names = ", ".join(map(str, lost))
            earlier = exc.targets if isinstance(exc, _NotRestored) else frozenset()
            raise _NotRestored(f"{names}: was written and could not be restored ({exc})", earlier.union(lost)) from exc
        raise


def _replace(staged: _Staged) -> None:
    """Write one change. Exceptions other than _NotRestored leave its file as it was."""
    change, target = staged.change, staged.change.target
    with _as_write_failed(target):
        if change.new is None:
            _require_old(change)
            target.unlink()
            return
        if staged.file is not None:
            _require_old(change)
            try:
                staged.file.replace(target)
            except OSError as exc:
                if exc.errno not in _IN_PLACE or change.old is None:
                    raise
            else:
                return
        _overwrite(change)


def _restore(change: Change) -> bool:
    """Take back a change that was written, unless somebody else wrote the file since; False if that failed."""
    try:
        if content(change.target) == change.new:
            write_all([Change(change.target, change.new, change.old)], store=None)
    except DiffuError:
        return False
    return True


def _discard(staged: Iterable[_Staged]) -> None:
    """Delete the files that replaced nothing."""
    for one in staged:
        if one.file is not None:
            _unlink(one.file)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def _as_write_failed(target: Path) -> Iterator[None]:
    """Raise OSErrors about `target` as WriteFailed, with a remedy."""
    try:
        yield
    except OSError as exc:
        hint = _REMEDIES.get(exc.errno or 0, "check the permissions of the file and its folder")
        raise WriteFailed(f"{target}: {exc.strerror or exc}", hint=hint) from exc


def _require_old(change: Change) -> None:
    if content(change.target) != change.old:
        raise _target_changed(change)


def _target_changed(change: Change) -> TargetChanged:
    what = "appeared meanwhile" if change.old is None else "changed on disk since it was read"
    return TargetChanged(f"{change.target}: {what}; nothing was written", hint="run the command again")


def _write_beside(target: Path, data: bytes, *, mode: int = 0o600, like: os.stat_result | None = None) -> Path:
    """A new file with `data` in the folder of `target`, synced to disk. OSError: there is no such file.

    mode: its permissions, less the umask. like: the status of `target`, whose attributes it gets instead.
    """
    file = target.with_name(f".diffu-{secrets.token_hex(6)}")
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with FileIO(descriptor, "w") as opened:
            _write_fully(opened, data)
            if like is not None:
                _copy_attributes(target, file, like)
            os.fsync(descriptor)
    except BaseException:
        _unlink(file)
        raise
    return file


def _copy_attributes(target: Path, file: Path, status: os.stat_result) -> None:
    """Give `file` the owner (OSError: not permitted), mode and extended attributes of `target`, and a new mtime."""
    if sys.platform != "win32":
        own = file.stat()
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.chown(file, status.st_uid, status.st_gid)
    shutil.copystat(target, file)
    os.utime(file)


def _overwrite(change: Change) -> None:
    """Write a change in place; the part past the old end goes first, so a full disk shows while the old bytes stand."""
    target, old, new = change.target, change.old, change.new
    assert old is not None
    assert new is not None
    with FileIO(target, "r+") as file:
        if file.readall() != old:
            raise _target_changed(change)
        try:
            _write_at(file, len(old), new[len(old) :])
            _write_at(file, 0, new[: len(old)])
            file.truncate(len(new))
            os.fsync(file.fileno())
        except BaseException as exc:
            _restore_in_place(file, target, old, because=exc)
            raise


def _restore_in_place(file: FileIO, target: Path, old: bytes, *, because: BaseException) -> None:
    try:
        _write_at(file, 0, old)
        file.truncate(len(old))
        os.fsync(file.fileno())
    except OSError:
        raise _NotRestored(f"{target}: was written only in part ({because})", [target]) from because


def _write_at(file: FileIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    _write_fully(file, data)
    os.fsync(file.fileno())


def _write_fully(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _unlink(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable. A file system that cannot sync folders is not an error."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _quoted(path: bytes) -> bytes:
    """The path as git writes it: quoted, with escapes, if it has bytes other than printable ASCII."""
    if not _TO_QUOTE.search(path):
        return path
    return b'"%b"' % _TO_QUOTE.sub(lambda match: _ESCAPES.get(match[0][0], rb"\%03o" % match[0][0]), path)
