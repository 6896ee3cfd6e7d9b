"""Run a command of the user's own, with limits of time and output. It is trusted: it may do whatever the user may."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.sandbox.inside import keeper
from diffucli.sandbox.start import Keeper

if TYPE_CHECKING:
    from pathlib import Path

TAIL = 16 * 2**10  # bytes kept of the end of the output


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
        self._running: set[Keeper] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, command: str, folder: Path, *, seconds: float) -> Ended:
        """Runs a command by the shell in `folder`, with no stdin; it is killed after `seconds`.

        All its processes end with it or with the caller, however that ends: on Linux all descendants, on macOS those of
        its process group. UsageError: the shell cannot be started.
        """
        began = time.monotonic()
        kept = bytearray()
        running = self._start(command, folder, seconds)
        report = running.gather(lambda chunk: _keep_end(kept, chunk))
        with self._lock:
            self._running.discard(running)
        how, status, _ = report or (keeper.ENDED, -9, False)
        output = bytes(kept[-TAIL:]).decode("utf-8", "replace")
        return Ended(None if how == keeper.TIMEOUT else int(status), output, time.monotonic() - began)

    def kill(self) -> None:
        """Ends all that runs."""
        with self._lock:
            self._stopped = True
            for running in self._running:
                running.stop()

    def _start(self, command: str, folder: Path, seconds: float) -> Keeper:
        order = {
            "confinement": "none",
            "seconds": float(seconds),
            "tests": None,
            "command": os.fsencode(command),
            "environment": dict(os.environb),
        }
        with self._lock:
            if self._stopped:
                raise UsageError("the test was stopped", hint="start it again")
            try:
                running = Keeper(order, folder=folder, environment={}, stderr=subprocess.STDOUT)
            except OSError as exc:
                raise UsageError(f"the command cannot be started: {exc}", hint="check --test") from exc
            self._running.add(running)
        return running


def _keep_end(kept: bytearray, chunk: bytes) -> None:
    kept += chunk
    del kept[:-TAIL]
