"""Shows a run while it goes: pulls events, draws a bounded number of frames, leaves the terminal as it was.

Knows nothing of where events come from. The model is hardly slowed: a frame that comes too early is not drawn.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from diffucli.errors import UsageError
from diffucli.events import Event, Finished
from diffucli.ui.frame import Frame, View
from diffucli.ui.signals import dying_clean, pausing_clean
from diffucli.ui.terminal import Screen, reflows

if TYPE_CHECKING:
    from collections.abc import Callable


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
    events: Iterator[Event],
    pieces: Callable[[int], bytes],
    *,
    view: View,
    out: TextIO | None = None,
    fps: float = 20,
    share: float = SHARE,
) -> Finished:
    """Runs `events` to the end and draws them on `out` (standard error) meanwhile; nothing stays on the screen.

    `pieces` gives a token's bytes. fps, share: see Pace. `events` is closed however this ends. SIGTERM and SIGHUP end
    it and then kill the process as they would have; Ctrl-Z gives the terminal back until the run goes on. Raises
    UsageError for an `fps` that is not above 0.
    """
    if not fps > 0:
        raise UsageError(f"{fps:g} frames a second cannot be drawn", hint="--fps takes a number above 0")
    out = sys.stderr if out is None else out
    frame = Frame(pieces, view, encoding=out.encoding or "ascii")
    with dying_clean():
        return play(events, frame, Screen(out, wraps=reflows(os.environ)), pace=Pace(fps, share=share))


def play(events: Iterator[Event], frame: Frame, screen: Screen, *, pace: Pace) -> Finished:
    """Folds `events` into `frame` and paints it when `pace` allows, and at the end."""
    final = None
    with _closing(events), screen, pausing_clean(screen.leave, screen.enter):
        for event in events:
            frame.take(event)
            if isinstance(event, Finished):
                final = event
                screen.paint(frame)
            elif pace.due():
                screen.paint(frame)
                pace.done()
    return _finished(final)


def last(events: Iterator[Event]) -> Finished:
    """Runs `events` to the end and draws nothing."""
    final = None
    with _closing(events):
        for event in events:
            final = event if isinstance(event, Finished) else final
    return _finished(final)


def _finished(final: Finished | None) -> Finished:
    assert final is not None, "a run ends with Finished"
    return final


@contextmanager
def _closing(events: Iterator[Event]) -> Iterator[None]:
    try:
        yield
    finally:
        if isinstance(events, Generator):
            events.close()
