"""Measures where the time of a run goes: named laps, and a run that is drawn as on a terminal."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

import torch

from diffucli.ui.frame import Frame, View
from diffucli.ui.live import Pace, pull
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from diffucli.events import Event

T = TypeVar("T")

BOOKKEEPING, DRAWING = "bookkeeping", "drawing"
SCREEN = (100, 40)  # columns and rows of the terminal that is drawn on
FPS = 20


class Stopwatch:
    """Sums up seconds by name in `spent`.

    clock: returns the time in seconds. wait: is called before the clock is read; it waits for an asynchronous device.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, wait: Callable[[], None] = lambda: None
    ) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._clock, self._wait = clock, wait
        self._since = clock()

    def start(self) -> None:
        """Starts a lap now; the time since the last lap is dropped."""
        self._wait()
        self._since = self._clock()

    def lap(self, name: str) -> None:
        """Ends the current lap, adds its time to `name` and starts the next one."""
        self._wait()
        now = self._clock()
        self.spent[name] += now - self._since
        self._since = now


def wait_for(device: torch.device) -> Callable[[], None]:
    """A function that waits until `device` has finished its work; on a CPU it returns at once."""
    waits = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    return waits.get(device.type, lambda: None)


def drawn(events: Generator[Event, None, T], piece: Callable[[int], bytes], watch: Stopwatch) -> T:
    """Runs `events` to the end, draws at most 20 frames a second, and returns what they return.

    Drawing is a lap of DRAWING, the rest of BOOKKEEPING. piece: the bytes of a token.
    """
    frame, pace = Frame(piece, View()), Pace(FPS)

    def watched() -> Generator[Event, None, T]:
        result = yield from events
        watch.lap(BOOKKEEPING)
        return result

    def see(event: Event) -> None:
        watch.lap(BOOKKEEPING)
        frame.take(event)
        if pace.due():
            screen.paint(frame)
            pace.done()
        watch.lap(DRAWING)

    with Screen(io.StringIO(), size=lambda: SCREEN) as screen:
        return pull(watched(), see)
