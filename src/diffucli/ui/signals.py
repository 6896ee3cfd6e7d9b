"""What signals do while the terminal is in our hands: clean up first, then die or stop as they demand.

Outside the main thread nothing is installed, for Python allows it nowhere else.
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

FATAL, STOP = frozenset({"SIGTERM", "SIGHUP"}), frozenset({"SIGTSTP"})  # not every system knows all of them
CTRL_C = frozenset({"SIGINT"})


class _Killed(BaseException):
    """A fatal signal came; raised so that every context on the way out cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def dying_clean() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP unwind like an exception; after that the process dies of them."""
    killed = None
    try:
        with _handling(_catchable(FATAL), _raise):
            yield
    except _Killed as exc:
        killed = exc.number
    if killed is not None:
        signal.raise_signal(killed)
        raise SystemExit(128 + killed)  # someone else's handler has returned


@contextmanager
def pausing_clean(leave: Callable[[], None], enter: Callable[[], None]) -> Iterator[None]:
    """Within, Ctrl-Z calls `leave` before the process stops and `enter` when it goes on."""

    def pause(number: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the signal came in the middle of a write
            leave()
        again = signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, again)
        with suppress(RuntimeError):
            enter()

    with _handling(_catchable(STOP), pause):
        yield


@contextmanager
def waiting() -> Iterator[None]:
    """Within, signals that run something of ours wait; at the end they do what they do. For a moment only."""
    came: list[int] = []
    ours = [number for number in _catchable(FATAL | STOP | CTRL_C) if callable(signal.getsignal(number))]
    with _handling(ours, lambda number, _frame: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)


@contextmanager
def _handling(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _catchable(names: frozenset[str]) -> list[signal.Signals]:
    """Those signals that are not ignored; what is (by nohup, say) stays so."""
    if threading.current_thread() is not threading.main_thread():
        return []
    found = [number for number in signal.Signals if number.name in names]
    return [number for number in found if signal.getsignal(number) not in {signal.SIG_IGN, None}]


def _raise(number: int, _frame: FrameType | None) -> None:
    raise _Killed(number)
