"""Where the time of a run goes: laps by name, and a run pulled to its end that is drawn as on a terminal."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import torch

from diffucli.events import Finished
from diffucli.ui.frame import Frame, View
from diffucli.ui.live import Pace
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.tasks.engine import Run

BOOKKEEPING, DRAWING = "bookkeeping", "drawing"
SCREEN = (100, 40)  # columns and rows of the terminal that drawing is measured on


class Stopwatch:
    """Seconds `spent` by name. wait: called before the clock is read, where a device works on behind our back."""

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, wait: Callable[[], None] = lambda: None
    ) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._clock, self._wait = clock, wait
        self._since = clock()

    def start(self) -> None:
        """What has passed since the last lap is nobody's."""
        self._wait()
        self._since = self._clock()

    def lap(self, name: str) -> None:
        """What has passed since the last lap, or the start, was spent on `name`."""
        self._wait()
        now = self._clock()
        self.spent[name] += now - self._since
        self._since = now


def wait_for(device: torch.device) -> Callable[[], None]:
    """Waits until a GPU has done what it was asked for; a CPU has."""
    waits = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    return waits.get(device.type, lambda: None)


def drawn(run: Run, piece: Callable[[int], bytes], watch: Stopwatch) -> Finished:
    """The end of `run`, drawn 20 times a second at most; frames are laps of DRAWING, what is left of BOOKKEEPING."""
    frame, pace, final = Frame(piece, View()), Pace(20), None
    with Screen(io.StringIO(), size=lambda: SCREEN) as screen:
        for event in run.events:
            watch.lap(BOOKKEEPING)
            frame.take(event)
            if pace.due():
                screen.paint(frame)
                pace.done()
            watch.lap(DRAWING)
            final = event
    assert isinstance(final, Finished), "a run ends with Finished"
    return final
