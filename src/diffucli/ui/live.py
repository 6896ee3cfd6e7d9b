"""Runs events to their end and draws them on a terminal meanwhile, which is left as it was.

Knows nothing of where events come from. A frame that comes too early is skipped, so drawing hardly slows the run.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, TypeVar

from diffucli.errors import UsageError
from diffucli.events import Beside, Event, Finished
from diffucli.signals import restoring_on_stop, unwinding_on_kill
from diffucli.ui.frame import Frame, View
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

MAX_SHARE, MAX_PAUSE = 0.04, 0.2  # frames take at most this share of the time, but are never more seconds apart


@dataclass(slots=True)
class Pace:
    """When to draw: at most `fps` times a second, and less often if drawing took more than `share` of the time.

    hold: seconds for which each frame stays, if every one is drawn.
    """

    fps: float
    clock: Callable[[], float] = time.monotonic
    share: float = MAX_SHARE
    started: float = float("-inf")
    cost: float = 0.0
    first: bool = True
    hold: float = 0.0

    def due(self) -> bool:
        """Whether to draw a frame now; if so, the frame starts now."""
        now = self.clock()
        if not self.hold and now - self.started < max(1 / self.fps, min(self.cost / self.share, MAX_PAUSE)):
            return False
        self.started = now
        return True

    def done(self) -> None:
        """Notes that the frame is drawn. The first one does not count as slow, since it loads the lexer."""
        self.cost = 0.0 if self.first else self.clock() - self.started
        self.first = False
        time.sleep(self.hold)


def show(
    events: Generator[Event, None, T],
    pieces: Callable[[int], bytes],
    *,
    view: View,
    out: TextIO | None = None,
    fps: float = 20,
    share: float = MAX_SHARE,
    hold: float = 0.0,
) -> T:
    """Runs `events` to the end, draws them on `out` (standard error) meanwhile, and returns what they return.

    pieces: gives a token's bytes. fps, share, hold: see Pace. The view is erased and `events` is closed in any case.
    SIGTERM and SIGHUP do that first and then end the process; Ctrl-Z erases the view until the process continues.
    Raises UsageError if `fps` is not above 0.
    """
    out = sys.stderr if out is None else out
    with closing(events), unwinding_on_kill():
        if not fps > 0:
            raise UsageError(f"{fps:g} frames a second cannot be drawn", hint="--fps takes a number above 0")
        frame = Frame(pieces, view, encoding=out.encoding or "ascii")
        return play(events, frame, Screen(out), pace=Pace(fps, share=share, hold=hold))


def play(events: Generator[Event, None, T], frame: Frame, screen: Screen, *, pace: Pace) -> T:
    """As `show`, for a `frame` that is painted on `screen` when `pace` allows and when a canvas is finished."""

    def see(event: Event) -> None:
        if isinstance(event, Beside):
            return
        frame.take(event)
        if isinstance(event, Finished):
            screen.paint(frame)
        elif pace.due():
            screen.paint(frame)
            pace.done()

    with closing(events), screen, restoring_on_stop(screen.leave, screen.enter):
        return _returned(events, see)


def pull(events: Generator[Event, None, T], see: Callable[[Event], object] = lambda _: None) -> T:
    """Runs `events` to the end, passes each to `see`, and returns what they return; closes them however this ends."""
    with closing(events):
        return _returned(events, see)


def _returned(events: Generator[Event, None, T], see: Callable[[Event], object]) -> T:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            result: T = end.value
            return result
        see(event)
