"""What an executor promises, and the one that works in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
INTERNAL = 70  # EX_SOFTWARE of sysexits.h


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result. message: why, in one line. hint: what may help. code: a command's exit code for it."""

    message: str
    hint: str = ""
    code: int = INTERNAL


# Takes items with their keys and yields their outcomes in any order. None in place of an item: none is there yet, and
# others are being worked on. What it needs, such as a model, it loads before it takes the first item. Pickled for other
# processes, so it is a function or a value at the top of a module.
WorkerCall = Callable[[Iterable[tuple[str, Item] | None]], Iterator[tuple[str, Outcome | Failure]]]


class Executor(Protocol):
    """Has a worker work on items, wherever that is."""

    def run(
        self, worker: WorkerCall[Item, Outcome], items: Iterable[tuple[str, Item]]
    ) -> Iterator[tuple[str, Outcome | Failure]]:
        """The outcome of each item by its key, each key once, as they come; closing the iterator stops the work.

        items: with distinct keys, taken as they are needed. An error that the worker raises, as for a model that cannot
        be loaded, is raised here.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThisProcess:
    """Works here."""

    def run(
        self, worker: WorkerCall[Item, Outcome], items: Iterable[tuple[str, Item]]
    ) -> Iterator[tuple[str, Outcome | Failure]]:
        """As `Executor.run`."""
        return worker(items)
