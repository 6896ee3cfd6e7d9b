"""Run a command of the user's own, with limits of time and output. It is trusted: it may do whatever the user may."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.sandbox.run import kill_group

if TYPE_CHECKING:
    from pathlib import Path

TAIL = 16 * 2**10  # bytes kept of the end of the output
_CHUNK = 65_536
_GRACE = 0.5  # seconds to wait for output that a process outside the group still holds open


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. status: its exit status, None if it ran out of time. output: the end of what it wrote."""

    status: int | None
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == 0


class ShellCommands:
    """Runs commands in threads of the caller. `kill` ends those that run, and lets no other one begin."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, command: str, folder: Path, *, seconds: float) -> Ended:
        """Runs a command by the shell in `folder`, with no stdin; its process group is killed after `seconds`.

        UsageError: the shell cannot be started.
        """
        began = time.monotonic()
        process = self._start(command, folder)
        kept = bytearray()
        assert process.stdout is not None
        reader = threading.Thread(target=_collect, args=(process.stdout, kept), daemon=True)
        reader.start()
        status: int | None = None
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(seconds)
        self._end(process)
        reader.join(_GRACE)
        return Ended(status, bytes(kept[-TAIL:]).decode("utf-8", "replace"), time.monotonic() - began)

    def kill(self) -> None:
        """Ends all that runs."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            kill_group(process)

    def _start(self, command: str, folder: Path) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise UsageError("the test was stopped", hint="start it again")
            try:
                process = subprocess.Popen(  # noqa: S602 — the user's own command
                    command,
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    start_new_session=True,
                )
            except (OSError, ValueError) as exc:
                raise UsageError(f"the command cannot be started: {exc}", hint="check --test") from exc
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kills what is left of a command's processes, and waits for the first of them."""
        kill_group(process)
        process.wait()
        with self._lock:
            self._running.discard(process)


def _collect(stream: IO[bytes], kept: bytearray) -> None:
    """Reads a stream to its end; `kept` holds little more than the end of it."""
    with stream, suppress(OSError, ValueError):
        while chunk := os.read(stream.fileno(), _CHUNK):
            kept += chunk
            del kept[:-TAIL]
