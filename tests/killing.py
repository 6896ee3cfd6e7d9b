"""Kills or interrupts a process before each of its operations that change the disk, in a fork of a small process.

A script that imports this must import no torch, so that a point costs a few milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from diffucli import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Act = Callable[[Path], object]

INTERRUPTED = 130
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk has much to do here
EVENTS = frozenset(
    {"open", "shutil.rmtree", "fcntl.flock"}
    | {f"os.{name}" for name in ("rename", "remove", "link", "symlink", "mkdir", "rmdir", "chmod", "chown", "utime")}
    | {f"os.{name}" for name in ("truncate", "setxattr", "write")}
)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    raise KeyboardInterrupt


def points(act: Act, prepare: Act, *, stop: Callable[[], None] = kill) -> Iterator[Path]:
    """The folders that `act` has left, one for each point at which it was stopped; `prepare` has filled them before.

    The last one is that of an `act` that came to its end. stop: `kill`, by SIGKILL, or `interrupt`, as Ctrl-C.
    """
    killed, point = True, 0
    while killed:
        point += 1
        with tempfile.TemporaryDirectory(prefix="diffu-kill-", dir=MEMORY) as name:
            folder = Path(name).resolve()
            prepare(folder)
            killed = _is_stopped(act, folder, point, stop)
            yield folder
    assert point > 5, "nothing was counted"


def _is_stopped(act: Act, folder: Path, point: int, stop: Callable[[], None]) -> bool:
    pid = os.fork()
    if pid == 0:
        _run_to(act, folder, point, stop)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in {-signal.SIGKILL, INTERRUPTED, 0}, "it failed by itself"
    return status != 0


def _run_to(act: Act, folder: Path, point: int, stop: Callable[[], None]) -> NoReturn:
    left = point
    write = atomic.write_fully

    def reached(event: str, details: tuple[Any, ...] = ()) -> None:
        nonlocal left
        if event in EVENTS and (event != "open" or details[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if not left:
                stop()

    def write_in_two(file: Any, data: bytes) -> None:
        """As a kill may come after some pages of a long write."""
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            reached("os.write")
            write(file, part)

    atomic.write_fully = write_in_two
    sys.addaudithook(reached)
    try:
        act(folder)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    except BaseException:  # noqa: BLE001 — a fork ends here, whatever comes
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
