"""Paths that lead to a stream and not to a file: open descriptors, as of /dev/stdout and >(command), devices and pipes.

What is written to them follows what is there already; nothing is replaced, and nothing can be undone.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from diffucli import files
from diffucli.cli import streams
from diffucli.errors import WriteFailed

if sys.platform != "win32":
    import fcntl

OUT, ERR = 1, 2  # their descriptors
POLL = 0.05  # seconds between two looks whether a pipe has a reader


def standard_of(path: Path) -> int | None:
    """1 or 2 if `path` is stdout or stderr: it names it, or is the file that the shell has put there."""
    if (named := files.descriptor(path)) is not None:
        return named if named in {OUT, ERR} else None
    for number, stream in ((OUT, sys.stdout), (ERR, sys.stderr)):
        with suppress(OSError, ValueError):  # there is no such file, or the stream is a stand-in of a test
            there = os.fstat(stream.fileno())
            if stat.S_ISREG(there.st_mode) and os.path.samestat(there, path.stat()):
                return number
    return None


@dataclass(frozen=True, slots=True)
class Outlet:
    """An open stream that is not stdout. path: by which it was named. is_ours: it was opened here."""

    path: Path
    descriptor: int
    is_ours: bool = False

    def put(self, data: bytes) -> None:
        """All of `data`, as `streams.put`; what was opened here is closed. WriteFailed: the system refused it."""
        with streams.as_write_failed(str(self.path)), open(self.descriptor, "wb", closefd=self.is_ours) as file:
            streams.write_whole(file, data)


def opened(path: Path) -> Outlet | None:
    """The stream that `path` leads to; None if it is a file, a folder or nothing yet.

    A named pipe is waited for until somebody reads it. WriteFailed: it cannot be written.
    """
    with streams.as_write_failed(str(path)):
        number = files.descriptor(path)
        if number is None:
            number = standard_of(path)
        if number is None:
            ours = _opened(path)
            return None if ours is None else Outlet(path, ours, is_ours=True)
        if _is_for_reading(number):
            raise WriteFailed(f"{path}: is open for reading alone", hint="name another one, or a file")
    return Outlet(path, number)


def _is_for_reading(descriptor: int) -> bool:
    """Whether nothing can be written to it. OSError: it is not open."""
    if sys.platform == "win32":
        return False
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def _opened(path: Path) -> int | None:
    """A device, or a pipe as soon as it has a reader, opened for writing; None for all else."""
    if not files.exists(path):
        return None
    mode, begun, told = path.stat().st_mode, time.monotonic(), False
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return None
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as exc:
            if not (stat.S_ISFIFO(mode) and exc.errno == errno.ENXIO):
                raise
        else:
            os.set_blocking(descriptor, True)
            return descriptor
        if not told and time.monotonic() - begun > streams.PATIENCE:
            streams.say(f"diffu: waiting for a reader of {path}")
            told = True
        time.sleep(POLL)
