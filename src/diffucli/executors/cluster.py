"""Works in the actors of a Ray cluster, of many machines or of this one."""

from __future__ import annotations

import logging
import os
import re
import socket
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from diffucli.errors import UsageError
from diffucli.executors.attend import LAST, attend
from diffucli.executors.pool import Heard, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.executors.attend import Message
    from diffucli.executors.executor import Failure, Item, Outcome, WorkerCall
    from diffucli.executors.pool import Entry, Member

USAGE_STATISTICS, WARN_OF_GPUS = "RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"
ADDRESS = "RAY_ADDRESS"
HOST_AND_PORT = re.compile(r"(?:ray://)?(?P<host>[^:/\s]+):(?P<port>[0-9]+)")
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Works in one actor for each GPU of the cluster; where there is none, in one for each core.

    address: of the cluster, such as "10.0.0.1:6379" or "auto"; "" starts one on this machine, unless RAY_ADDRESS names
    one. ahead: items that an actor is given before their outcomes are there. Ray's usage statistics are off.
    """

    address: str = ""
    ahead: int = 2

    def __post_init__(self) -> None:
        """Refuses what cannot work. Raises UsageError."""
        if find_spec("ray") is None:
            raise UsageError("Ray is not installed", hint="pip install 'diffucli[ray]', or give --workers a number")

    def run(
        self, worker: WorkerCall[Item, Outcome], items: Iterable[tuple[str, Item]]
    ) -> Iterator[tuple[str, Outcome | Failure]]:
        """As `Executor.run`. UsageError: there is no such cluster."""
        os.environ[USAGE_STATISTICS] = "0"
        os.environ.setdefault(WARN_OF_GPUS, "0")
        address = self.address or os.environ.get(ADDRESS, "")
        _require_answer(address)
        ray: Any = import_module("ray")
        try:
            ray.init(address or None, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as exc:  # Ray raises bare ones, as where a cluster takes too long to start
            raise _no_cluster(address, (str(exc).strip() or "no answer").splitlines()[0]) from exc
        try:
            resources = ray.cluster_resources()
            gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
            yield from Pool(_Actors(worker, with_gpu=bool(gpus)), gpus or cores, ahead=self.ahead).run(items)
        finally:
            ray.shutdown()


def _require_answer(address: str) -> None:
    """UsageError: nobody listens at HOST:PORT, for which Ray waits for minutes. Other addresses are left to Ray."""
    if found := HOST_AND_PORT.fullmatch(address):
        try:
            socket.create_connection((found["host"], int(found["port"])), timeout=ANSWER_SECONDS).close()
        except (OSError, OverflowError, UnicodeError) as exc:
            raise _no_cluster(address, getattr(exc, "strerror", None) or str(exc)) from exc


def _no_cluster(address: str, reason: str) -> UsageError:
    return UsageError(f"there is no Ray cluster at {address or 'this machine'} ({reason})", hint="see ray status")


class _Actors:
    """Starts actors and listens to them."""

    def __init__(self, worker: object, *, with_gpu: bool) -> None:
        self._worker, self._ray = worker, import_module("ray")  # typed loosely, as it may be absent
        needs = {"num_cpus": 0, "num_gpus": 1} if with_gpu else {"num_cpus": 1}
        self._kind = self._ray.remote(max_concurrency=2, max_restarts=0, **needs)(Attendant)

    def start(self) -> Member:
        """A new actor."""
        return _Actor(self._kind, self._worker)

    def listen(self, members: Sequence[Member]) -> Iterator[Heard]:
        """Waits until at least one actor has said something or died."""
        actors = {member.told: member for member in members if isinstance(member, _Actor)}
        ready, _ = self._ray.wait(list(actors), num_returns=1)
        for told in ready:
            actor = actors[told]
            try:
                what, key, value = self._ray.get(next(told))
            except self._ray.exceptions.RayError as exc:
                yield Heard(actor, "died", value=f"by {type(exc).__name__}")
            else:
                yield Heard(actor, what, key, value)


class _Actor:
    """An actor as the driver sees it. told: what it says, message by message."""

    def __init__(self, kind: Any, worker: object) -> None:
        self._actor, self._sent = kind.remote(), 0
        self.told = self._actor.work.options(num_returns="streaming").remote(worker)

    def give(self, entry: Entry) -> None:
        """Sends an item."""
        self._put(entry)

    def end(self) -> None:
        """Says that no more items come."""
        self._put(None)

    def _put(self, entry: Entry | None) -> None:
        self._actor.put.remote(self._sent, entry)
        self._sent += 1

    def stop(self) -> None:
        """Kills it, if it has not ended."""
        import_module("ray").kill(self._actor)


class Attendant:
    """What an actor does. Two calls run at a time: the one that works, and one that puts."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Entry | None] = SimpleQueue()
        self._early: dict[int, Entry | None] = {}
        self._next, self._lock = 0, Lock()

    def put(self, number: int, entry: Entry | None) -> None:
        """Gives it an item; None: no more come. number: of the call, since Ray runs two at a time in any order."""
        with self._lock:
            self._early[number] = entry
            while self._next in self._early:
                self._inbox.put(self._early.pop(self._next))
                self._next += 1

    def work(self, worker: Any) -> Iterator[Message]:
        """Works, and yields what the pool listens to."""
        outbox: SimpleQueue[Message] = SimpleQueue()
        Thread(target=attend, args=(worker, self._inbox, outbox.put), daemon=True).start()
        while True:
            message = outbox.get()
            yield message
            if message[0] in LAST:
                return
