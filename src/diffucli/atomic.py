"""Files that are replaced whole: written beside their place, synced, and moved there.

A file or folder that is half made has its process in its name, so that the next one knows what a killed one left.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING

from diffucli.errors import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MARK = r"[0-9a-f]{8}-[0-9]{1,10}-[0-9]{1,15}-[0-9a-f]{8}"
_SAME_START = 2000  # milliseconds that a process's start may seem to have moved when the clock is set
_LOCKED_BYTE = 1 << 16  # on Windows nobody can read what is locked, so it lies behind the process id
_HALF_MADE = re.compile(rf"\.diffu-({MARK})")


def mark() -> str:
    """Machine, process id, start of the process in milliseconds and a random number, for the name of what it makes."""
    import psutil

    started = round(psutil.Process().create_time() * 1000)
    return f"{_machine()}-{os.getpid()}-{started}-{secrets.token_hex(4)}"


def is_dead(marked: str) -> bool:
    """Whether the process that made `marked` by `mark` ran on this machine and runs no more."""
    import psutil

    machine, pid, started, _ = marked.split("-")
    if machine != _machine():
        return False
    try:
        process = psutil.Process(int(pid))
        is_same = abs(process.create_time() * 1000 - int(started)) <= _SAME_START
        return not is_same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def sweep(folder: Path) -> None:
    """Delete the files in `folder` that a process which runs no more has half written."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if (match := _HALF_MADE.fullmatch(path.name)) and is_dead(match[1]):
                discard(path)


def write_atomic(target: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `target` by a file that holds `data`, a private one by default. OSError: `target` is unchanged."""
    file = write_beside(target, data, mode=mode)
    try:
        file.replace(target)
    except BaseException:
        discard(file)
        raise
    sync_folder(target.parent)


def write_beside(target: Path, data: bytes, *, mode: int, like: os.stat_result | None = None) -> Path:
    """A new file with `data` in the folder of `target`, synced to disk. OSError: there is no such file.

    mode: its permissions, less the umask. like: the status of `target`, whose attributes it gets instead.
    """
    file = target.with_name(f".diffu-{mark()}")
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with FileIO(descriptor, "w") as opened:
            write_fully(opened, data)
            if like is not None:
                _copy_attributes(target, file, like)
            os.fsync(descriptor)
    except BaseException:
        discard(file)
        raise
    return file


def write_fully(file: FileIO, data: bytes) -> None:
    """Write all of `data` where the file stands."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def discard(file: Path) -> None:
    """Delete a file, if that is possible."""
    with suppress(OSError):
        file.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable. A file system that cannot sync folders is not an error."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path, what: str, *, seconds: float, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the lock file at `path`, which ends with the process. OSError: it cannot be opened.

    what: what it guards. WriteFailed: another process has held it for so many seconds; `tell` is told of the wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline, told = time.monotonic() + seconds, False
        while not try_lock(descriptor):
            holder, how = _holder(path)
            if time.monotonic() >= deadline:
                raise WriteFailed(f"{what} is held by {holder}", hint=how)
            if not told:
                tell(f"waiting for {holder}, which holds {what}")
                told = True
            time.sleep(0.05)
        os.write(descriptor, b"%-10d" % os.getpid())
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _holder(lock: Path) -> tuple[str, str]:
    """The process that holds a lock, in words, and what can be done about it."""
    import psutil

    pid = lock.read_bytes()[:10].decode("ascii", "replace").strip()
    if not pid.isdecimal():
        return "another process", "end it"
    stopped = False
    with suppress(psutil.Error):
        stopped = psutil.Process(int(pid)).status() == psutil.STATUS_STOPPED
    return (
        f"process {pid}{', which is stopped' * stopped}",
        f"kill -CONT {pid} lets it go on, kill {pid} ends it" if stopped else f"wait for it, or end it: kill {pid}",
    )


def _machine() -> str:
    """The name of this machine, or container, as eight digits."""
    return f"{zlib.crc32(platform.node().encode(errors='replace')):08x}"


def _copy_attributes(target: Path, file: Path, status: os.stat_result) -> None:
    """Give `file` the owner (OSError: not permitted), mode and extended attributes of `target`, and a new mtime."""
    if sys.platform != "win32":
        own = file.stat()
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.chown(file, status.st_uid, status.st_gid)
    shutil.copystat(target, file)
    os.utime(file)
