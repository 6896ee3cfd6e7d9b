"""Run untrusted Python in a limited child process and say how it ended.

Knows nothing of models or problems; the child's side is `sandbox_cell.py`.

What it keeps out, by system:

- Everywhere: the wall clock (the child is killed with its process group), output beyond 64 KiB (read and dropped), the
  caller's environment and site-packages (only the standard library can be imported), files left behind (the working,
  home and temporary folder is one folder, removed afterwards). Neither a crash nor an early `exit(0)` passes tests.
- Linux and macOS: limits on CPU time, open files, a file's size and core dumps; on Linux also on memory (macOS does
  not enforce it) and, with namespaces, on the number of processes and threads.
- Linux where user namespaces are allowed (`Outcome.confined`): no network, the whole file system read-only but for a
  64 MiB folder in memory, /run hidden, other processes neither seen nor signalled, none of its own outlives it.
- Linux, run by root: it becomes nobody first if nobody can read the interpreter. If not, the hook below is added,
  because the kernel does not limit root's processes.
- Elsewhere (not `confined`): an audit hook inside the interpreter refuses sockets, processes, ctypes and writing
  outside the folder. That stops accidents, not attackers: code that means to get round it can.

What it does not keep out: reading any file the user can read (what is read can only go to the output); sockets in the
file system outside /run; faults of the kernel or of CPython; code that looks through its own interpreter for the token
that says "passed"; on Windows, memory and CPU time within the wall clock. To run what an enemy wrote, use a virtual
machine.
"""

from __future__ import annotations

import marshal
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, TYPE_CHECKING, Literal

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEMORY = 512 * 2**20  # bytes of address space
OUTPUT = 64 * 2**10  # bytes kept of each stream
_CELL = Path(__file__).with_name("sandbox_cell.py")
_GRACE = 0.5  # seconds to wait for pipes that something still holds open after the kill

Reason = Literal["ok", "error", "timeout", "memory", "exit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    reason: "ok"; "error" (an exception, a failed test, a non-zero exit, a crash); "timeout"; "memory"; "exit" (a test
    run that ended with status 0 before its tests had). stdout, stderr: at most 64 KiB each. seconds: wall time.
    confined: kernel namespaces held it; see the module's docstring for what that means.
    """

    reason: Reason
    stdout: str
    stderr: str
    seconds: float
    confined: bool

    @property
    def ok(self) -> bool:
        return self.reason == "ok"


@dataclass(frozen=True, slots=True)
class _Job:
    code: str
    tests: str | None
    stdin: str
    seconds: float
    memory: int


def run(code: str, *, stdin: str = "", seconds: float = 5.0, memory: int = MEMORY) -> Outcome:
    """Run `code` as a program that reads `stdin`. seconds: wall clock; memory: bytes of address space."""
    return _start(_Job(code, None, stdin, seconds, memory))


def run_tests(code: str, tests: str, *, seconds: float = 5.0, memory: int = MEMORY) -> Outcome:
    """Run `code`, then `tests` in the same names; ok only if the tests reach their end.

    `candidate` is bound to the last function or class that `code` defines at its top level. `__name__` is "candidate",
    so a main guard does not run.
    """
    return _start(_Job(code, tests, "", seconds, memory))


def run_many(
    jobs: Iterable[tuple[str, str]], *, workers: int = 2, seconds: float = 5.0, memory: int = MEMORY
) -> Iterator[Outcome]:
    """`run_tests` of each (code, tests), `workers` at a time, in the order of the jobs."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda job: run_tests(*job, seconds=seconds, memory=memory), jobs)


def _start(job: _Job) -> Outcome:
    token = secrets.token_hex(16)
    with TemporaryDirectory(prefix="diffu-", ignore_cleanup_errors=True) as folder:
        work, report = Path(folder, "work"), Path(folder, "report")
        work.mkdir()
        report.touch()
        Path(folder).chmod(0o711)  # root's child becomes nobody, who must get through
        order = marshal.dumps((job.code, job.tests, token, str(report), str(work), job.seconds, job.memory))
        sent = len(order).to_bytes(8, "big") + order + job.stdin.encode("utf-8", "surrogateescape")
        began = time.monotonic()
        process = _spawn(work)
        streams, in_time = _watch(process, sent, began + job.seconds)
        took = time.monotonic() - began
        said = report.read_bytes().split()
    stdout, stderr = (bytes(stream).decode("utf-8", "replace") for stream in streams)
    reason = _reason(job, process.returncode, finished=token.encode() in said, memory=b"memory" in said)
    return Outcome(reason if in_time else "timeout", stdout, stderr, took, confined=b"confined" in said)


def _reason(job: _Job, status: int, *, finished: bool, memory: bool) -> Reason:
    if memory or status in {-9, 128 + 9}:  # killed, and not by us: the system was out of memory
        return "memory"
    if status in {-24, 128 + 24}:  # SIGXCPU
        return "timeout"
    if status != 0:
        return "error"
    return "ok" if finished or job.tests is None else "exit"


def _spawn(work: Path) -> subprocess.Popen[bytes]:
    home = str(work)
    environment = {"HOME": home, "TMPDIR": home, "MALLOC_ARENA_MAX": "1"}  # a thread's own arena would use up `memory`
    if os.name == "nt":  # Windows starts no Python without it
        environment |= {"SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), "TEMP": home, "TMP": home, "USERPROFILE": home}
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CELL)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(  # noqa: S603 — our own interpreter and file
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, cwd=work, env=environment, start_new_session=True
        )
    except OSError as exc:
        raise UsageError(
            f"cannot start Python to run code in: {exc.strerror}", hint="free processes or memory"
        ) from exc


def _watch(process: subprocess.Popen[bytes], sent: bytes, limit: float) -> tuple[tuple[bytearray, bytearray], bool]:
    """Feed and read a child until it ends or the clock reaches `limit`; what it wrote, and whether it ended in time."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    kept = bytearray(), bytearray()
    threads = [
        Thread(target=_collect, args=(process.stdout, kept[0]), daemon=True),
        Thread(target=_collect, args=(process.stderr, kept[1]), daemon=True),
        Thread(target=_feed, args=(process.stdin, sent), daemon=True),
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
    _kill(process)
    process.wait()
    for thread in threads:
        thread.join(_GRACE)
    return kept, in_time


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the child and its group; members may live on after the child has ended."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _collect(stream: IO[bytes], kept: bytearray) -> None:
    with stream, suppress(OSError, ValueError):
        for chunk in iter(partial(stream.read, OUTPUT), b""):
            kept += chunk[: OUTPUT - len(kept)]


def _feed(stream: IO[bytes], sent: bytes) -> None:
    view = memoryview(sent)
    with suppress(OSError, ValueError), stream:
        while view:
            view = view[stream.write(view) :]
