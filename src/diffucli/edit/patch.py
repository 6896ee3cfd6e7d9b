"""Changes to files: as a unified diff that `git apply` accepts, and written to disk, all of them or none.

Does not know where pre-images are kept: the caller of `write_all` passes an `UndoLog`, such as `undo.UndoStore`.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, Protocol

from diffucli import atomic, files
from diffucli.errors import DiffuError, TargetChanged, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from diffucli.edit.source import Source

MAX_BYTES = 200_000_000  # of a file that is replaced, whose content is kept
_IN_PLACE = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY})  # the folder, owner or mount point forbids a rename
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "your quota on that disk is used up: free some space",
    errno.EROFS: "that disk is mounted read-only: write elsewhere with -o",
    errno.ENOENT: "create its folder first",
    errno.EPERM: "lsattr says whether it, or its folder, is immutable (chattr -i) or append-only (chattr -a)",
    errno.EFBIG: "name another file, or use stdout",
}
_TO_QUOTE = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_ESCAPES = {7: rb"\a", 8: rb"\b", 9: rb"\t", 10: rb"\n", 11: rb"\v", 12: rb"\f", 13: rb"\r", 34: rb"\"", 92: rb"\\"}


@dataclass(frozen=True, slots=True)
class Change:
    """New content for one file.

    target: the real file, never a symlink. old: its content when it was read; None if there was no such file.
    new: the content to write; None deletes the file. mode: permission bits of the file where it is made anew; None: the
    usual ones.
    """

    target: Path
    old: bytes | None
    new: bytes | None
    mode: int | None = None

    @classmethod
    def of_source(cls, source: Source, new: bytes) -> Change:
        """A change of the file that `source` was read from. UsageError: it was read from stdin."""
        if source.path is None:
            raise UsageError("stdin cannot be written back", hint="leave out -w, or name a file with -o")
        return cls(files.real(source.path), source.raw, new)

    @classmethod
    def of_path(cls, path: Path, new: bytes) -> Change:
        """A change of whatever `path` holds now, or a new file. UsageError: no folder, or not a regular file."""
        target = files.real(path)
        if not files.is_folder(target.parent):
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

    def recording(self, changes: Sequence[Change]) -> AbstractContextManager[str]:
        """Keeps the old and new content of changes that are made inside, all under one id. WriteFailed: it cannot."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """A change that is ready to be written. file: the new content, next to the target; None: it is written in place."""

    change: Change
    file: Path | None


def unified_diff(source: Source, new: bytes, *, name: str, git: bool = True) -> bytes:
    """The output of `git diff` for a change from `source` to `new`, in the file's encoding; empty if they are equal.

    name: the path in the header, relative to the folder where the patch will be applied, with "/" as the separator.
    git: there is the line `diff --git`, under which git takes a path from the top of a work tree.
    """
    old_lines, new_lines = (re.findall(rb"[^\n]*\n|[^\n]+", image) for image in (source.raw, new))
    path = os.fsencode(name.lstrip("/").removeprefix("./"))
    old_path, new_path = (_quoted(side + path) for side in (b"a/", b"b/"))
    tab = b"\t" if b" " in path else b""  # git ends a name that has blanks with a tab
    lines = difflib.diff_bytes(
        difflib.unified_diff, old_lines, new_lines, old_path + tab, new_path + tab, lineterm=b"\n"
    )
    ended = [line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines]
    head = [b"diff --git %b %b\n" % (old_path, new_path)] if git and ended else []
    return b"".join([*head, *ended])


def write_all(changes: Sequence[Change], *, store: UndoLog | None) -> list[Written]:
    """Write all changes or none; the results are in the order of `changes`.

    `store` (None: no undo) records the changes before anything is written. All files are staged and checked before the
    first one is replaced. If a replacement fails, the files replaced before it get their old content back.

    A file is replaced by a new one with its mode, owner and extended attributes. It is written in place if it has
    several names (hard links), or if its folder, owner or mount point forbids the replacement. A new file never takes
    the place of one that appeared meanwhile.

    UsageError: two changes are of one file. TargetChanged: a file no longer has the old content. WriteFailed: a file is
    read-only or the system refused; the message says so if a file could not be restored.
    """
    require_distinct(change.target for change in changes)
    pending = [change for change in changes if change.new != change.old]
    for change in pending:
        _require_writable(change)
    undo_id = None
    if pending:
        with store.recording(pending) if store else nullcontext() as undo_id:
            _write_all(pending)
    return [
        Written(change.target, changed, undo_id if changed else None)
        for change, changed in ((change, change.new != change.old) for change in changes)
    ]


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
            mode = target.stat().st_mode
            if stat.S_ISDIR(mode):
                raise UsageError(f"{target}: is a folder", hint="name a file in it")
            if not stat.S_ISREG(mode):
                raise UsageError(f"{target}: is not a regular file", hint="name another file, or use stdout")
            return files.read_bytes(target, MAX_BYTES)
        except FileNotFoundError:
            return None


def require_distinct(targets: Iterable[Path]) -> None:
    """UsageError: two of the paths are names of one file."""
    seen: dict[object, Path] = {}
    for target in targets:
        same = seen.setdefault(_identity(target), target)
        if same is not target:
            raise UsageError(f"{same} and {target} are one file", hint="name each file once")


def require_writable(target: Path) -> None:
    """WriteFailed: the file, or the folder of one that does not exist, is read-only."""
    with _as_write_failed(target):
        is_there = target.exists()
        if is_there and not target.stat().st_mode & 0o222:
            raise _read_only(target)
        if not os.access(place := target if is_there else target.parent, os.W_OK):
            code = errno.EACCES
            if sys.platform != "win32":
                if os.statvfs(target.parent).f_flag & os.ST_RDONLY:
                    code = errno.EROFS
                elif place.stat().st_mode & 0o200 and os.geteuid() in {0, place.stat().st_uid}:
                    code = errno.EPERM  # no permission is lacking, so an attribute forbids it
            raise OSError(code, os.strerror(code))


def _read_only(target: Path) -> WriteFailed:
    return WriteFailed(f"{target}: is read-only", hint=f"chmod u+w {target}, or write elsewhere with -o")


def _identity(target: Path) -> object:
    """A value that two names have in common if they are of one file."""
    try:
        status = target.stat()
    except OSError:
        return files.real(target)
    return status.st_dev, status.st_ino


def _require_writable(change: Change) -> None:
    _require_old(change)
    if change.new is not None:
        require_writable(change.target)


def _write_all(changes: Sequence[Change]) -> None:
    for folder in {change.target.parent for change in changes}:
        atomic.sweep(folder)
    staged: list[_Staged] = []
    try:
        staged.extend(_stage(change) for change in changes)  # those before a failure stay in the list
        for change in changes:
            _require_old(change)
        _replace_all(staged)
    finally:
        _discard(staged)


def _stage(change: Change) -> _Staged:
    """Write the new content next to the target if it may replace it."""
    target = change.target
    with _as_write_failed(target):
        if change.new is None:
            return _Staged(change, None)
        if change.old is None:
            return _Staged(change, _stage_new(change, change.new))
        status = target.stat()
        if status.st_nlink > 1:
            return _Staged(change, None)
        try:
            return _Staged(change, atomic.write_beside(target, change.new, mode=0o600, like=status))
        except OSError as exc:
            if exc.errno not in _IN_PLACE:
                raise
            return _Staged(change, None)


def _stage_new(change: Change, data: bytes) -> Path:
    file = atomic.write_beside(change.target, data, mode=0o666)
    if change.mode is not None:
        file.chmod(change.mode)
    return file


def _replace_all(staged: Sequence[_Staged]) -> None:
    """Write all staged changes; if one fails, restore those before it. WriteFailed says if that failed for some."""
    done: list[Change] = []
    try:
        for one in sorted(staged, key=lambda one: one.file is not None):  # in place first: that needs free disk space
            done.append(one.change)  # before the write: an interrupt may come right after it
            _replace(one)
        for folder in {change.target.parent for change in done}:
            atomic.sync_folder(folder)
    except BaseException as exc:
        if isinstance(exc, Exception):
            done.pop()  # its file is as it was, or the error says that it is not
        _discard(staged)
        lost = [change.target for change in reversed(done) if not _restore(change)]
        if lost:
            names = ", ".join(map(str, lost))
            raise _not_restored(f"{names}: was written and could not be restored ({exc})") from exc
        raise


def _replace(staged: _Staged) -> None:
    """Write one change. An exception leaves its file as it was, or says that this failed."""
    change, target = staged.change, staged.change.target
    with _as_write_failed(target):
        if change.old is None:
            _create(staged)
            return
        _require_old(change)
        if change.new is None:
            target.unlink()
            return
        if staged.file is not None:
            try:
                staged.file.replace(target)
            except OSError as exc:
                if exc.errno not in _IN_PLACE:
                    raise
            else:
                return
        _overwrite(change, change.old, change.new)


def _create(staged: _Staged) -> None:
    """Make a new file of the staged one, unless there is one by now."""
    change, file = staged.change, staged.file
    assert file is not None
    assert change.new is not None
    try:
        try:
            os.link(file, change.target)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            _create_in_place(change, change.new, mode=file.stat().st_mode & 0o777)
    except FileExistsError as exc:
        raise _target_changed(change) from exc


def _create_in_place(change: Change, data: bytes, *, mode: int) -> None:
    """Make a new file where the file system knows no hard links."""
    with FileIO(os.open(change.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        try:
            atomic.write_fully(file, data)
            os.fsync(file.fileno())
        except BaseException:
            atomic.discard(change.target)
            raise


def _restore(change: Change) -> bool:
    """Take back a change that was written, unless somebody else wrote the file since; False if that failed."""
    try:
        if content(change.target) == change.new:
            _write_all([Change(change.target, change.new, change.old, change.mode)])
    except DiffuError:
        return False
    return True


def _discard(staged: Iterable[_Staged]) -> None:
    """Delete the files that replaced nothing, and the first name of those that were linked to their place."""
    for one in staged:
        if one.file is not None:
            atomic.discard(one.file)


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


def _not_restored(message: str) -> WriteFailed:
    return WriteFailed(message, hint="diffu undo restores its former content")


def _overwrite(change: Change, old: bytes, new: bytes) -> None:
    """Write a change in place; the part past the old end goes first, so a full disk shows while the old bytes stand.

    A kill leaves a content that `is_mixture` knows.
    """
    with FileIO(change.target, "r+") as file:
        if file.readall() != old:
            raise _target_changed(change)
        try:
            _write_at(file, len(old), new[len(old) :])
            _write_at(file, 0, new[: len(old)])
            file.truncate(len(new))
            os.fsync(file.fileno())
        except BaseException as exc:
            _restore_in_place(file, change.target, old, because=exc)
            raise


def is_mixture(content: bytes, one: bytes, other: bytes) -> bool:
    """Whether each byte of `content` is that of `one` or that of `other`, as after a write in place that was killed."""
    shorter, longer = sorted((len(one), len(other)))
    if not shorter <= len(content) <= longer:
        return False
    rest = (one if len(one) == longer else other)[shorter : len(content)]
    return content[shorter:] == rest and all(
        byte in {first, second} for byte, first, second in zip(content, one[:shorter], other[:shorter], strict=False)
    )


def _restore_in_place(file: FileIO, target: Path, old: bytes, *, because: BaseException) -> None:
    try:
        _write_at(file, 0, old)
        file.truncate(len(old))
        os.fsync(file.fileno())
    except OSError:
        raise _not_restored(f"{target}: was written only in part ({because})") from because


def _write_at(file: FileIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    atomic.write_fully(file, data)
    os.fsync(file.fileno())


def _quoted(path: bytes) -> bytes:
    """The path as git writes it: quoted, with escapes, if it has bytes other than printable ASCII."""
    if not _TO_QUOTE.search(path):
        return path
    return b'"%b"' % _TO_QUOTE.sub(lambda match: _ESCAPES.get(match[0][0], rb"\%03o" % match[0][0]), path)
