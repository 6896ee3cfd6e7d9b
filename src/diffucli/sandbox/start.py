"""Start a keeper with an order, and gather what its job writes. `inside/keeper.py` is the other side."""

from __future__ import annotations

import marshal
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.sandbox import confinement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Take = Callable[[bytes], object]
    Report = tuple[str, int | str, bool]

_CHUNK = 65_536
_GRACE = 10.0  # seconds that a keeper may take beyond its job's limit, to start and to end all
_DRAIN = 0.5  # seconds to read what was written before the end, if a process that got away still writes


class Keeper:
    """A keeper at work. `gather` must be called; `stop` may be, from any thread."""

    def __init__(
        self,
        order: Mapping[str, object],
        *,
        prefix: Sequence[str] = (),
        folder: Path | str = "/",
        environment: Mapping[str, str],
        stderr: int = subprocess.PIPE,
    ) -> None:
        """Starts it. prefix: of its command. OSError: the system cannot start it. UsageError: this is Windows."""
        if sys.platform == "win32":
            raise UsageError("tests cannot be run on Windows", hint="use Linux, macOS or WSL")
        seconds = order["seconds"]
        assert isinstance(seconds, float)
        self._limit = time.monotonic() + seconds + _GRACE
        told, report = os.pipe()
        lifeline, held = os.pipe()
        self._report, self._lifeline = os.fdopen(told, "rb", 0), os.fdopen(held, "wb", 0)
        try:
            with TemporaryFile() as stdin:
                stdin.write(marshal.dumps({**order, "report": report, "lifeline": lifeline}))
                stdin.seek(0)
                self.process = subprocess.Popen(  # noqa: S603 — our own interpreter and file
                    [*prefix, *confinement.python()],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    bufsize=0,
                    cwd=folder,
                    env=dict(environment),
                    start_new_session=True,
                    pass_fds=[report, lifeline],
                )
        except OSError:
            self._report.close()
            self.stop()
            raise
        finally:
            os.close(report)
            os.close(lifeline)

    def gather(self, stdout: Take, stderr: Take | None = None) -> Report | None:
        """Passes on what is written until the keeper has ended: its report, None if it has left none."""
        report = bytearray()
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._report, selectors.EVENT_READ, report.extend)
            waiting.register(self.process.stdout, selectors.EVENT_READ, stdout)
            if stderr:
                assert self.process.stderr is not None
                waiting.register(self.process.stderr, selectors.EVENT_READ, stderr)
            while self._report in waiting.get_map() and (left := self._limit - time.monotonic()) > 0:
                _pass_on(waiting, left)
            limit = time.monotonic() + _DRAIN
            while waiting.get_map() and _pass_on(waiting, 0) and time.monotonic() < limit:
                pass
        self._end()
        return marshal.loads(report) if report else None  # noqa: S302 — from our own keeper

    def stop(self) -> None:
        """Ends the job: the keeper finds its lifeline cut."""
        self._lifeline.close()

    def _end(self) -> None:
        self._report.close()
        self.stop()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def _pass_on(waiting: selectors.BaseSelector, seconds: float) -> bool:
    """Passes on what can be read within some seconds; False: nothing. An ended stream is waited for no more."""
    ready = waiting.select(seconds)
    for key, _ in ready:
        chunk = os.read(key.fd, _CHUNK)
        if chunk:
            key.data(chunk)
        else:
            waiting.unregister(key.fileobj)
    return bool(ready)
