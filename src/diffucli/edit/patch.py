"""Changed bytes as a unified diff that `git apply` accepts, and onto the disk so that nothing is lost on the way.

Does not know where pre-images are kept: who calls `write` or `create` passes a `Keeper`, such as `store.Store`.
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
    from collections.abc import Callable, Iterator

    from diffucli.edit.source import Source

_IN_PLACE = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY})  # the folder, the owner or a mount forbids replacing
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "your quota on that disk is used up: free some space",
    errno.EROFS: "that disk is mounted read-only: write elsewhere with -o",
    errno.ENOENT: "create its folder first",
}
_TO_QUOTE = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_ESCAPES = {7: rb"\a", 8: rb"\b", 9: rb"\t", 10: rb"\n", 11: rb"\v", 12: rb"\f", 13: rb"\r", 34: rb"\"", 92: rb"\\"}


class Keeper(Protocol):
    """Takes pre-images before a file is touched."""

    def record(self, path: Path, *, before: bytes | None, after: bytes) -> str:
        """Keep both images of a write that is about to happen; its id. WriteFailed: they could not be kept."""

    def forget(self, entry_id: str) -> None:
        """That write did not happen."""


@dataclass(frozen=True, slots=True)
class Written:
    """path: the real file. changed: False where it held these bytes already. entry: the id that undoes it, if kept."""

    path: Path
    changed: bool
    entry: str | None


class _HalfWritten(WriteFailed):
    """Writing in place failed, and so did putting the old bytes back."""


def unified_diff(source: Source, new: bytes, *, name: str) -> bytes:
    """What `git diff` would print for `source` becoming `new`, in the file's own encoding; empty if nothing changed.

    name: the path to show, relative to the folder where the patch is to be applied, with "/" between its parts.
    """
    old_lines, new_lines = (re.findall(rb"[^\n]*\n|[^\n]+", image) for image in (source.raw, new))
    path = os.fsencode(name.lstrip("/").removeprefix("./"))
    old_path, new_path = (_quoted(side + path) for side in (b"a/", b"b/"))
    tab = b"\t" if b" " in path else b""  # git's end mark of a name with blanks
    lines = difflib.diff_bytes(
        difflib.unified_diff, old_lines, new_lines, old_path + tab, new_path + tab, lineterm=b"\n"
    )
    ended = [line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines]
    return b"".join([b"diff --git %b %b\n" % (old_path, new_path), *ended]) if ended else b""


def write(source: Source, new: bytes, *, store: Keeper | None) -> Written:
    """Make the file of `source` hold `new`, its pre-image kept in `store` first (None: no undo).

    UsageError: there is no such file to write. TargetChanged: it is no longer what was read. WriteFailed: the system
    refused, and the file is as it was.
    """
    if source.path is None:
        raise UsageError("stdin cannot be written back", hint="leave out -w, or name a file with -o")
    return _save(_real(source.path), new, old=source.raw, store=store)


def create(path: Path, new: bytes, *, store: Keeper | None) -> Written:
    """Make `path` hold `new`, whether or not it exists: as `write`. UsageError: its folder does not exist."""
    target = _real(path)
    if not target.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist", hint=f"mkdir -p {target.parent}")
    return _save(target, new, old=content(target), store=store)


def content(target: Path) -> bytes | None:
    """What the file holds, None where there is none. UsageError: it is a folder, pipe or device."""
    with _refusals_of(target):
        try:
            if not stat.S_ISREG(target.stat().st_mode):
                raise UsageError(f"{target}: is not a regular file", hint="name another file, or use stdout")
            return target.read_bytes()
        except FileNotFoundError:
            return None


def put(target: Path, new: bytes, *, old: bytes | None) -> None:
    """Make `target` (no symlink) hold `new`, provided that it holds `old` (None: that it does not exist).

    A new file takes its place, with its mode, owner and extended attributes. It is written in place where it has more
    names (hard links), or where its folder, owner or mount forbids to replace it but the file itself can be written.
    TargetChanged: it holds something else. WriteFailed: read-only, or the system refused; it is as it was.
    """
    with _refusals_of(target):
        _require(target, old)
        if old is None:
            swap(target, new, mode=0o666, check=lambda: _require(target, old))
            return
        status = target.stat()
        if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
            raise WriteFailed(f"{target}: is read-only", hint=f"chmod u+w {target}, or write elsewhere with -o")
        if status.st_nlink > 1:
            _overwrite(target, new, old=old)
            return
        try:
            swap(target, new, like=status, check=lambda: _require(target, old))
        except OSError as exc:
            if exc.errno not in _IN_PLACE:
                raise
            _overwrite(target, new, old=old)


def remove(target: Path, *, old: bytes) -> None:
    """Delete `target`, provided that it holds `old`. Raises as `put`."""
    with _refusals_of(target):
        _require(target, old)
        target.unlink()
        _sync_folder(target.parent)


def swap(
    target: Path,
    new: bytes,
    *,
    mode: int = 0o600,
    like: os.stat_result | None = None,
    check: Callable[[], object] = bool,
) -> None:
    """Put a new file in the place of `target` at once, safely on the disk; any failure leaves `target` alone (OSError).

    mode: its permissions, less the umask. like: take mode, owner and extended attributes of `target` instead. check:
    runs last before the swap, and stops it by raising.
    """
    staged = target.with_name(f".diffu-{secrets.token_hex(6)}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with FileIO(descriptor, "w") as file:
            _write_all(file, new)
            if like is not None:
                _dress(staged, target, like)
            os.fsync(descriptor)
        check()
        staged.replace(target)
    except BaseException:
        with suppress(OSError):
            staged.unlink()
        raise
    _sync_folder(target.parent)


def _save(target: Path, new: bytes, *, old: bytes | None, store: Keeper | None) -> Written:
    if new == old:
        return Written(target, changed=False, entry=None)
    _require(target, old)
    entry = None if store is None else store.record(target, before=old, after=new)
    try:
        put(target, new, old=old)
    except _HalfWritten:
        raise
    except DiffuError:
        if store is not None and entry is not None:
            with suppress(WriteFailed):
                store.forget(entry)
        raise
    return Written(target, changed=True, entry=entry)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def _refusals_of(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        hint = _REMEDIES.get(exc.errno or 0, "check the permissions of the file and its folder")
        raise WriteFailed(f"{target}: {exc.strerror or exc}", hint=hint) from exc


def _require(target: Path, old: bytes | None) -> None:
    """The file still holds `old`."""
    if content(target) != old:
        raise _changed(target, old)


def _changed(target: Path, old: bytes | None) -> TargetChanged:
    what = "appeared meanwhile" if old is None else "changed on disk since it was read"
    return TargetChanged(f"{target}: {what}; nothing was written", hint="run the command again")


def _dress(staged: Path, target: Path, like: os.stat_result) -> None:
    """Give `staged` the owner (OSError where not permitted), mode and extended attributes of `target`."""
    if sys.platform != "win32":
        status = staged.stat()
        if (status.st_uid, status.st_gid) != (like.st_uid, like.st_gid):
            os.chown(staged, like.st_uid, like.st_gid)
    shutil.copystat(target, staged)
    os.utime(staged)


def _overwrite(target: Path, new: bytes, *, old: bytes) -> None:
    """Write in place; the part past the old end goes first, so that a full disk shows while the old bytes stand."""
    with FileIO(target, "r+") as file:
        if file.readall() != old:
            raise _changed(target, old)
        try:
            _write_at(file, len(old), new[len(old) :])
            _write_at(file, 0, new[: len(old)])
            file.truncate(len(new))
            os.fsync(file.fileno())
        except BaseException as exc:
            _restore(file, target, old, because=exc)
            raise


def _restore(file: FileIO, target: Path, old: bytes, *, because: BaseException) -> None:
    try:
        _write_at(file, 0, old)
        file.truncate(len(old))
        os.fsync(file.fileno())
    except OSError:
        raise _HalfWritten(
            f"{target}: was written only in part ({because})", hint="diffu undo says where its former content is kept"
        ) from because


def _write_at(file: FileIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    _write_all(file, data)
    os.fsync(file.fileno())


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _sync_folder(folder: Path) -> None:
    """Make a rename last; a file system that cannot sync folders is not a failed write."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _quoted(path: bytes) -> bytes:
    """The name as git writes it: in quotes, other bytes in octal, where it holds any but plain printable ASCII."""
    if not _TO_QUOTE.search(path):
        return path
    return b'"%b"' % _TO_QUOTE.sub(lambda match: _ESCAPES.get(match[0][0], rb"\%03o" % match[0][0]), path)
