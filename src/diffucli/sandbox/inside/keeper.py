"""Keep one job: start it, hold it to its limits, report how it ended, and let nothing of it live on.

The keeper is a process of its own, between the caller and the worker. The caller holds the other end of its lifeline, a
pipe: the end of that means that the caller is gone, however it went. In a sandbox the keeper is the first process of
the PID namespace, so the kernel kills all others there with it; they can neither see into it nor send it signals.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
import time

from . import WORK, worker

TYPE_CHECKING = False  # importing typing would cost as much as the rest of the start
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class Order(TypedDict):
        """What the caller sends on stdin, by marshal.

        report, lifeline: descriptors. confinement: "bubblewrap", "namespaces" or "none". plan: of the new root.
        seconds: of wall time. memory: bytes, of each process and of all together. tests: code and tests to run;
        None: the command is run by the shell, with `environment`.
        """

        report: int
        lifeline: int
        confinement: str
        plan: list[tuple[str, ...]]
        seconds: float
        memory: int
        tests: tuple[str, str] | None
        command: bytes
        environment: dict[bytes, bytes]


ENDED, TIMEOUT, MEMORY, REFUSED = "ended", "timeout", "memory", "refused"
_LOOK_MS = 25  # between two looks at the memory
_LOOK_FOR_END_MS = 5  # where the system does not tell of the end of a process
_LINUX = sys.platform == "linux"


def main() -> NoReturn:
    """Carry out the order and end. Reports (how, status, finished) by marshal, or (REFUSED, why, False)."""
    order: Order = marshal.load(sys.stdin.buffer)  # noqa: S302 — from our own caller
    try:
        _confine(order)
        running = Worker(order)
    except OSError as error:
        _report(order, REFUSED, error.strerror or str(error), finished=False)
        os._exit(1)
    how, status = running.keep()
    if order["confinement"] == "none":
        running.end_descendants()
    _report(order, how, status, finished=running.finished)
    os._exit(0)  # the kernel kills whatever is left in this PID namespace


def _report(order: Order, how: str, status: int | str, *, finished: bool) -> None:
    os.write(order["report"], marshal.dumps((how, status, finished)))


def _confine(order: Order) -> None:
    """Enter the namespaces, as their first process, if bubblewrap has not done so. OSError: the system refuses."""
    if order["confinement"] == "none":
        return
    from . import jail

    if order["confinement"] == "namespaces":
        jail.enter_namespaces()
        _fork_first()
        jail.build_root(order["plan"])
    jail.give_up_rights()


def _fork_first() -> None:
    """Continue in a child; this process ends when the child and, with it, all of its PID namespace has ended."""
    child = os.fork()
    if child:
        os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


class Worker:
    """The process that runs the tests. finished: they have reached their end."""

    def __init__(self, order: Order) -> None:
        self.order, self.finished, self.out_of_memory = order, False, False
        self.nonce = b""
        self.asked, ask = os.pipe()
        answer, self.reply = os.pipe()
        if order["confinement"] == "none" and _LINUX:
            from . import jail

            jail.adopt_orphans()
        self.child = os.fork()
        if self.child == 0:
            for own in (self.asked, self.reply, order["report"], order["lifeline"]):
                os.close(own)
            _work(order, ask, answer)
        os.close(ask)
        os.close(answer)

    def keep(self) -> tuple[str, int]:
        """Wait until the worker ends, a limit is reached or the caller is gone: how it ended, and the exit status."""
        deadline, lifeline = time.monotonic() + self.order["seconds"], self.order["lifeline"]
        poll = select.poll()
        poll.register(lifeline, select.POLLIN)
        poll.register(self.asked, select.POLLIN)
        try:
            poll.register(os.pidfd_open(self.child), select.POLLIN)
            pause = _LOOK_MS
        except (AttributeError, OSError):  # macOS, old kernels
            pause = _LOOK_FOR_END_MS
        while (left := deadline - time.monotonic()) > 0:
            ready = {each for each, _ in poll.poll(min(left * 1000, pause))}
            if self.asked in ready and not self._hear():
                poll.unregister(self.asked)
            if (status := self._reap()) is not None:
                self._hear_rest()
                return (MEMORY if self.out_of_memory else ENDED), status
            if lifeline in ready:
                return ENDED, -9
            if self.order["confinement"] != "none" and _resident() > self.order["memory"]:
                return MEMORY, -9
        return TIMEOUT, -9

    def end_descendants(self) -> None:
        """Kill the worker's process group and, on Linux, all other descendants of this process."""
        _kill(-self.child)
        while _LINUX and (children := _children()):
            for child in children:
                _kill(child)
                os.waitpid(child, 0)

    def _hear(self) -> bool:
        """Read what the worker says; False: nobody can say anything more."""
        said = os.read(self.asked, 64)
        if said == worker.MEMORY_ERROR:
            self.out_of_memory = True
        elif said == worker.AT_END and not self.nonce:
            self.nonce = os.urandom(worker.NONCE_BYTES)
            os.write(self.reply, self.nonce)
        elif self.nonce and said == self.nonce:
            self.finished = True
        return bool(said)

    def _hear_rest(self) -> None:
        poll = select.poll()
        poll.register(self.asked, select.POLLIN)
        while poll.poll(0) and self._hear():
            pass

    def _reap(self) -> int | None:
        """Wait for every child that has ended; the exit status of the worker if it is one of them."""
        ended = None
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if child == 0:
                return ended
            if child == self.child:
                ended = os.waitstatus_to_exitcode(status)


def _work(order: Order, ask: int, answer: int) -> NoReturn:
    """Do the work in this process, a child of the keeper."""
    try:
        status = _do(order, ask, answer)
    except OSError as error:  # the limits cannot be set, or there is no shell
        os.write(2, f"{error}\n".encode())
        os._exit(127)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 — the code may have put anything there
            continue
    os._exit(status)  # what threads and exit handlers would do now does not matter, and cleaning up would cost 5 ms


def _do(order: Order, ask: int, answer: int) -> int:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    tests = order["tests"]
    if tests is None:
        _run_command(order)
    confined = order["confinement"] != "none"
    worker.limit(order["seconds"], order["memory"], count_processes=confined)
    if confined:
        from . import jail

        os.chdir(WORK)
        jail.filter_system_calls()
    return worker.run(*tests, ask, answer)


def _run_command(order: Order) -> NoReturn:
    import signal

    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(ignored, signal.SIG_DFL)
    if _LINUX:
        from . import jail

        jail.die_with_parent()
    os.execve("/bin/sh", [b"sh", b"-c", order["command"]], order["environment"])  # noqa: S606 — the user's own command


def _resident() -> int:
    """Bytes of memory that all other processes of this PID namespace hold."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/statm", "rb") as file:
                    total += int(file.read().split()[1])
            except OSError:  # it has ended
                continue
    return total * os.sysconf("SC_PAGE_SIZE")


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(each) for each in file.read().split()]
    except OSError:  # a kernel without it
        return []


def _kill(target: int) -> None:
    try:
        os.kill(target, 9)
    except (ProcessLookupError, PermissionError):
        pass
