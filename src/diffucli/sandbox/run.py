"""Start the child, watch it, and report how the run ended. `child.py` is the other side."""

from __future__ import annotations

import marshal
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, Literal

from diffucli.errors import UsageError

MEMORY = 512 * 2**20  # bytes of address space
OUTPUT = 64 * 2**10  # bytes kept of each stream
_CHILD = Path(__file__).with_name("child.py")
_GRACE = 0.5  # seconds to wait for a pipe that a process outside the group still holds open after the kill

Reason = Literal["ok", "error", "timeout", "memory", "exit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    reason: "ok": the tests reached their end; "error": an exception, a failed test, a non-zero exit or a crash;
    "timeout"; "memory"; "exit": the process ended with status 0 before the tests had ended. stdout, stderr: the first
    64 KiB of each. seconds: wall time. confined: kernel namespaces were in force; see the package's docstring.
    """

    reason: Reason
    stdout: str
    stderr: str
    seconds: float
    confined: bool

    @property
    def ok(self) -> bool:
        return self.reason == "ok"


def run_tests(code: str, tests: str, *, seconds: float = 5.0, memory: int = MEMORY) -> Outcome:
    """Run `code`, then `tests` in the same namespace; ok only if the tests reach their end.

    `candidate` is bound to the last function or class that `code` defines at its top level. `__name__` is "candidate",
    so a main guard does not run, and stdin is empty. seconds: limit of wall time. memory: bytes of address space.
    """
    token = secrets.token_hex(16)
    with TemporaryDirectory(prefix="diffu-", ignore_cleanup_errors=True) as folder:
        work, report = Path(folder, "work"), Path(folder, "report")
        work.mkdir()
        report.touch()
        Path(folder).chmod(0o711)  # the child of root becomes nobody, who must get through
        order = marshal.dumps((code, tests, token, str(report), str(work), seconds, memory))
        began = time.monotonic()
        process = _spawn(work)
        streams, in_time = _watch(process, order, began + seconds)
        elapsed = time.monotonic() - began
        reported = report.read_bytes().split()
    stdout, stderr = (bytes(stream).decode("utf-8", "replace") for stream in streams)
    reason = _reason(process.returncode, finished=token.encode() in reported, memory=b"memory" in reported)
    return Outcome(reason if in_time else "timeout", stdout, stderr, elapsed, confined=b"confined" in reported)


def _reason(status: int, *, finished: bool, memory: bool) -> Reason:
    if memory or status in {-9, 128 + 9}:  # SIGKILL, and not from us: the system was out of memory
        return "memory"
    if status in {-24, 128 + 24}:  # SIGXCPU
        return "timeout"
    if status != 0:
        return "error"
    return "ok" if finished else "exit"


def _spawn(work: Path) -> subprocess.Popen[bytes]:
    home = str(work)
    environment = {
        "HOME": home,
        "TMPDIR": home,
        "MALLOC_ARENA_MAX": "1",
    }  # an arena for each thread would use up `memory`
    if os.name == "nt":  # Python does not start on Windows without it
        environment |= {"SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), "TEMP": home, "TMP": home, "USERPROFILE": home}
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CHILD)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(  # noqa: S603 — our own interpreter and file
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, cwd=work, env=environment, start_new_session=True
        )
    except OSError as exc:
        raise UsageError(
            f"cannot start Python to run code in: {exc.strerror}", hint="free processes or memory"
        ) from exc


def _watch(process: subprocess.Popen[bytes], order: bytes, limit: float) -> tuple[tuple[bytearray, bytearray], bool]:
    """Send the order to a child and read its output until it ends or the clock reaches `limit`; True: it ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    kept = bytearray(), bytearray()
    threads = [
        Thread(target=_collect, args=(process.stdout, kept[0]), daemon=True),
        Thread(target=_collect, args=(process.stderr, kept[1]), daemon=True),
        Thread(target=_send, args=(process.stdin, order), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join(max(limit - time.monotonic(), 0.0))
    in_time = True
    try:
        process.wait(max(limit - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        in_time = False
    kill_group(process)
    process.wait()
    for thread in threads:
        thread.join(_GRACE)
    return kept, in_time


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills the process group of a child; other members may outlive the child."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _collect(stream: IO[bytes], kept: bytearray) -> None:
    with stream, suppress(OSError, ValueError):
        for chunk in iter(partial(stream.read, OUTPUT), b""):
            kept += chunk[: OUTPUT - len(kept)]


def _send(stream: IO[bytes], order: bytes) -> None:
    view = memoryview(order)
    with suppress(OSError, ValueError), stream:
        while view:
            view = view[stream.write(view) :]
