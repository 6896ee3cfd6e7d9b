"""Shows a run while it goes: pulls events, draws a bounded number of frames, leaves the terminal as it was.

Knows nothing of where events come from. The model is hardly slowed: a frame that comes too early is not drawn.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, TypeVar

from diffucli.errors import UsageError
from diffucli.events import Event, Finished
from diffucli.ui.frame import Frame, View
from diffucli.ui.signals import dying_clean, pausing_clean
from diffucli.ui.terminal import Screen, reflows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

SHARE, LONGEST = 0.04, 0.2  # of the time at most is spent on frames, as long as they are no more seconds apart


@dataclass(slots=True)
class Pace:
    """At most `fps` frames a second of `clock`; fewer where they would take more than `share` of the time."""

    fps: float
    clock: Callable[[], float] = time.monotonic
    share: float = SHARE
    begun: float = float("-inf")
    taken: float = 0.0
    first: bool = True

    def due(self) -> bool:
        """Whether a frame may be drawn now; if so it is begun."""
        now = self.clock()
        if now - self.begun < max(1 / self.fps, min(self.taken / self.share, LONGEST)):
            return False
        self.begun = now
        return True

    def done(self) -> None:
        """The frame is drawn; how long it took says when the next is due, but for the first, which loads a lexer."""
        self.taken = 0.0 if self.first else self.clock() - self.begun
        self.first = False


def show(
    events: Generator[Event, None, T],
    pieces: Callable[[int], bytes],
    *,
    view: View,
    out: TextIO | None = None,
    fps: float = 20,
    share: float = SHARE,
) -> T:
    """Runs `events` to the end, draws them on `out` (standard error) meanwhile, and returns what they return.

    Nothing stays on the screen. pieces: gives a token's bytes. fps, share: see Pace. `events` is closed however this
    ends. SIGTERM and SIGHUP end the run cleanly and then kill the process; Ctrl-Z gives the terminal back until the
    process continues. Raises UsageError for an `fps` that is not above 0.
    """
    out = sys.stderr if out is None else out
    with closing(events), dying_clean():
        if not fps > 0:
            raise UsageError(f"{fps:g} frames a second cannot be drawn", hint="--fps takes a number above 0")
        frame = Frame(pieces, view, encoding=out.encoding or "ascii")
        return play(events, frame, Screen(out, wraps=reflows(os.environ)), pace=Pace(fps, share=share))


def play(events: Generator[Event, None, T], frame: Frame, screen: Screen, *, pace: Pace) -> T:
    """Applies `events` to `frame` and paints it when `pace` allows and when a canvas is finished."""

    def see(event: Event) -> None:
        frame.take(event)
        if isinstance(event, Finished):
            screen.paint(frame)
        elif pace.due():
            screen.paint(frame)
            pace.done()

    with closing(events), screen, pausing_clean(screen.leave, screen.enter):
        return _returned(events, see)


def pull(events: Generator[Event, None, T]) -> T:
    """Runs `events` to the end, draws nothing, and returns what they return."""
    with closing(events):
        return _returned(events, lambda _: None)


def _returned(events: Generator[Event, None, T], see: Callable[[Event], None]) -> T:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            result: T = end.value
            return result
        see(event)
