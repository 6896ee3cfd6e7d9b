"""Signal handlers for the time in which a view is drawn: they clean up first, then let the signal do what it does.

Outside the main thread nothing is installed, since Python allows handlers nowhere else.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

FATAL, STOP = frozenset({"SIGTERM", "SIGHUP"}), frozenset({"SIGTSTP"})  # not every system has all of them
CTRL_C = frozenset({"SIGINT"})


class _Killed(BaseException):
    """A fatal signal came. It is raised as an exception so that every context on the way out cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def unwinding_on_kill() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP unwind the stack like an exception; after that the process dies of the signal."""
    killed = None
    try:
        with _handling(_catchable(FATAL), _raise):
            yield
    except _Killed as exc:
        killed = exc.number
    if killed is not None:
        signal.raise_signal(killed)
        raise SystemExit(128 + killed)  # a handler installed by someone else has returned


@contextmanager
def restoring_on_stop(leave: Callable[[], None], enter: Callable[[], None]) -> Iterator[None]:
    """Within, Ctrl-Z calls `leave` before the process stops and `enter` when it continues."""

    def pause(number: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the signal interrupted a write to the same stream
            leave()
        ours = signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, ours)
        with suppress(RuntimeError):
            enter()

    with _handling(_catchable(STOP), pause):
        yield


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Within, signals that have a Python handler wait; at the end they are raised. For short sections only."""
    came: list[int] = []
    ours = [number for number in _catchable(FATAL | STOP | CTRL_C) if callable(signal.getsignal(number))]
    with _handling(ours, lambda number, _frame: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C or SIGTERM is only noted, and the function given tells of it; a second one acts."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[number])

    numbers = _catchable(FATAL | CTRL_C)
    before = {int(number): signal.getsignal(number) for number in numbers}
    with _handling(numbers, note):
        yield lambda: bool(came)


@contextmanager
def _handling(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _catchable(names: frozenset[str]) -> list[signal.Signals]:
    """The signals in `names` that are not ignored; those ignored (by nohup, say) stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        return []
    found = [number for number in signal.Signals if number.name in names]
    return [number for number in found if signal.getsignal(number) not in {signal.SIG_IGN, None}]


def _raise(number: int, _frame: FrameType | None) -> None:
    raise _Killed(number)
