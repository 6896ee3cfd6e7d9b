"""Temporary folders that do not pile up: those of callers that died are removed by the next one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

from diffucli import files

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "diffu-scratch-"
_YOUNG = 60.0  # seconds: its caller may not have locked it yet


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, which is removed at the end. OSError: the system refuses it.

    The caller holds a lock on it as long as it lives. What dead callers left is removed before the first one.
    """
    sweep_once()
    with TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name, _locked(name):
        yield files.real(Path(name))


@cache
def sweep_once() -> None:
    """Removes what dead callers left, once in a process."""
    sweep(Path(gettempdir()))


def sweep(parent: Path) -> None:
    """Removes the folders in `parent` that `scratch` made for this user and whose caller is dead."""
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _YOUNG and not folder.is_symlink():
                with _locked(str(folder)):
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds the lock of a folder. BlockingIOError: somebody else does."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
