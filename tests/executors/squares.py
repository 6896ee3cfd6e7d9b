"""A worker for the tests, in a module that other processes can import: squares, some of them deadly."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from diffucli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEADLY, UNLOADABLE = 7, -1


def square(items: Iterable[tuple[str, int] | None]) -> Iterator[tuple[str, tuple[int, int]]]:
    """The square of each number, two at a time, and the process. 7 kills the process."""
    waiting, held = iter(items), []
    while True:
        while len(held) < 2 and (entry := next(waiting, None)):
            held.append(entry)
        if not held:
            return
        key, number = held.pop()
        if number == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        yield key, (number * number, os.getpid())


def unloadable(items: Iterable[tuple[str, int] | None]) -> Iterator[tuple[str, int]]:
    """Cannot begin."""
    raise ModelError("there is no model", hint="pull one")
    yield


def stillborn(items: Iterable[tuple[str, int] | None]) -> Iterator[tuple[str, int]]:
    """Dies before it takes an item."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield


def faulty(items: Iterable[tuple[str, int] | None]) -> Iterator[tuple[str, int]]:
    """Has a fault of its own."""
    for entry in items:
        assert entry is not None
        raise LookupError(entry[0])
    yield
