"""Works in several processes of this machine. They end with this one, however that ends."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from diffucli.executors.attend import attend
from diffucli.executors.pool import Heard, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from diffucli.executors.executor import Failure, Item, Outcome, WorkerCall
    from diffucli.executors.pool import Entry, Member

THREADS, VISIBLE_GPUS = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Processes:
    """Works in `count` processes.

    ahead: items that a process is given before their outcomes are there. spread: each process sees one of the GPUs, in
    turn. The cores are shared out among the processes unless OMP_NUM_THREADS says how many threads each has.
    """

    count: int
    ahead: int = 2
    spread: bool = True

    def run(
        self, worker: WorkerCall[Item, Outcome], items: Iterable[tuple[str, Item]]
    ) -> Iterator[tuple[str, Outcome | Failure]]:
        """As `Executor.run`."""
        return Pool(_Children(worker, self), self.count, ahead=self.ahead).run(items)


class _Children:
    """Starts child processes and listens to them."""

    def __init__(self, worker: object, how: Processes) -> None:
        self._worker, self._how, self._started = worker, how, 0

    def start(self) -> Member:
        """A new child."""
        number, self._started = self._started, self._started + 1
        threads = max((os.cpu_count() or 1) // self._how.count, 1)
        environment = {THREADS: os.environ.get(THREADS, str(threads))}
        if self._how.spread and (gpu := gpu_of(number)):
            environment[VISIBLE_GPUS] = gpu
        return _Child(self._worker, environment)

    def listen(self, members: Sequence[Member]) -> Iterator[Heard]:
        """Waits until at least one child has said something or died."""
        children = {member.pipe: member for member in members if isinstance(member, _Child)}
        for pipe in connection.wait(list(children)):
            child = children[pipe]  # type: ignore[index]
            try:
                what, key, value = child.pipe.recv()
            except (EOFError, OSError):
                yield Heard(child, "died", value=child.death())
            else:
                yield Heard(child, what, key, value)


class _Child:
    """A child process as its parent sees it."""

    def __init__(self, worker: object, environment: Mapping[str, str]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_work, args=(theirs, dict(environment)), daemon=True)
        self._process.start()
        theirs.close()
        self._send(worker)

    def give(self, entry: Entry) -> None:
        """Sends an item."""
        self._send(entry)

    def end(self) -> None:
        """Says that no more items come."""
        self._send(None)

    def stop(self) -> None:
        """Kills it, if it has not ended."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def death(self) -> str:
        """How it died."""
        self._process.join(1)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"by {signal.Signals(-code).name}"
        return f"with exit code {code}"

    def _send(self, message: object) -> None:
        with suppress(OSError):  # it is dead, which is heard soon
            self.pipe.send(message)


def gpu_of(number: int, *, visible: str | None = None, folder: Path = GPUS) -> str:
    """The GPU that process `number` sees, as CUDA_VISIBLE_DEVICES has it; "" where there are not several.

    visible: those that this process sees; None: by CUDA_VISIBLE_DEVICES, else all that the driver lists in `folder`.
    """
    visible = os.environ.get(VISIBLE_GPUS) if visible is None else visible
    if visible is not None:
        gpus = [each.strip() for each in visible.split(",")]
    else:
        gpus = [str(index) for index, _ in enumerate(folder.iterdir())] if folder.is_dir() else []
    return gpus[number % len(gpus)] if len(gpus) > 1 else ""


def _work(pipe: Connection, environment: Mapping[str, str]) -> None:
    """The life of a child process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    os.environ.update(environment)
    try:
        worker = pipe.recv()
        inbox: SimpleQueue[Entry | None] = SimpleQueue()
        Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
        attend(worker, inbox, pipe.send)
    except (EOFError, OSError):  # the parent is gone
        return


def _receive(pipe: Connection, inbox: SimpleQueue[Entry | None]) -> None:
    """Passes on what the parent sends; ends the process with the parent, whatever is being worked on."""
    while True:
        try:
            inbox.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
