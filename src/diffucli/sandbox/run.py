"""Run code and tests in a sandbox, and find out how this machine can confine them."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from diffucli.errors import UsageError
from diffucli.sandbox.confinement import Confinement, bubblewrap, root_plan
from diffucli.sandbox.inside import WORK, keeper
from diffucli.sandbox.scratch import scratch
from diffucli.sandbox.start import Keeper

MEMORY = 512 * 2**20  # bytes
OUTPUT = 64 * 2**10  # bytes kept of each stream
REMEDY = "install bubblewrap or allow user namespaces; --unconfined runs it with your own rights"
_KILLED = {-9, 128 + 9}
_CONFINED: tuple[Confinement, ...] = ("bubblewrap", "namespaces")  # in the order of preference

Reason = Literal["ok", "error", "timeout", "memory", "exit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    reason: "ok": the tests reached their end; "error": an exception, a failed test, a non-zero exit or a crash;
    "timeout"; "memory"; "exit": the process ended with status 0 before the tests had ended. stdout, stderr: the first
    64 KiB of each. seconds: wall time. confinement: what was in force; see the package's docstring.
    """

    reason: Reason
    stdout: str
    stderr: str
    seconds: float
    confinement: Confinement

    @property
    def ok(self) -> bool:
        return self.reason == "ok"


@cache
def strongest() -> Confinement:
    """How this machine can confine code: the first way that works. UsageError: none does, and why."""
    reasons = []
    for each in _CONFINED:
        try:
            outcome = run_tests("", "", confinement=each)
        except UsageError as exc:
            reasons.append(f"{each}: {exc.message}")
        else:
            if outcome.ok:
                return each
            reasons.append(f"{each}: {outcome.reason} {outcome.stderr.strip()[-200:]}".rstrip())
    raise UsageError(f"generated code cannot be confined here ({'; '.join(reasons)})", hint=REMEDY)


def run_tests(
    code: str, tests: str, *, seconds: float = 5.0, memory: int = MEMORY, confinement: Confinement | None = None
) -> Outcome:
    """Run `code`, then `tests` in the same namespace; ok only if the tests reach their end.

    `candidate` is bound to the last function or class that `code` defines at its top level. `__name__` is "candidate",
    so a main guard does not run, and stdin is empty. seconds: limit of wall time. memory: bytes, of the address space
    of each process and, if confined, of what all hold together. confinement: None: the strongest that works here.
    UsageError: code cannot be confined so.
    """
    chosen = confinement or strongest()
    order: dict[str, object] = {
        "confinement": chosen,
        "seconds": float(seconds),
        "memory": memory,
        "tests": (code, tests),
    }
    if chosen == "none":
        with scratch() as folder:
            return _run(order, chosen, str(folder), folder=str(folder))
    return _run({**order, "plan": root_plan()}, chosen, WORK)


def _run(order: dict[str, object], confinement: Confinement, home: str, *, folder: str = "/") -> Outcome:
    """home: the working folder as the code sees it. folder: in which the keeper starts."""
    # an arena of malloc for each thread would use up `memory`
    environment = {"HOME": home, "TMPDIR": home, "MALLOC_ARENA_MAX": "1"}
    stdout, stderr = bytearray(), bytearray()
    began = time.monotonic()
    try:
        prefix = bubblewrap() if confinement == "bubblewrap" else []
        kept = Keeper(order, prefix=prefix, folder=folder, environment=environment)
    except OSError as exc:
        raise UsageError(f"cannot start: {exc.strerror or exc}", hint=REMEDY) from exc
    report = kept.gather(partial(_keep, stdout), partial(_keep, stderr))
    elapsed = time.monotonic() - began
    out, err = (bytes(stream).decode("utf-8", "replace") for stream in (stdout, stderr))
    if report is None and kept.process.returncode not in _KILLED:  # not by the system, which was out of memory
        raise UsageError(f"cannot start: {' '.join(err.split())[-200:]}", hint=REMEDY)
    how, status, finished = report or (keeper.MEMORY, -9, False)
    if how == keeper.REFUSED:
        raise UsageError(f"the system refuses: {status}", hint=REMEDY)
    return Outcome(_reason(how, status, finished=finished), out, err, elapsed, confinement)


def _keep(kept: bytearray, chunk: bytes) -> None:
    kept += chunk[: OUTPUT - len(kept)]


def _reason(how: str, status: int | str, *, finished: bool) -> Reason:
    if how == keeper.TIMEOUT or status == -signal.SIGXCPU:
        return "timeout"
    if how == keeper.MEMORY or status == -signal.SIGKILL:  # not by us: the system was out of memory
        return "memory"
    if status != 0:
        return "error"
    return "ok" if finished else "exit"
