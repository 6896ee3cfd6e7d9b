"""A trace as something to play: where it is, what is drawn there, and how to get to the step before or behind.

Knows nothing of keys, terminals or clocks.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from diffucli.events import Beside, Finished, Happening, Resized, Started, Stepped
from diffucli.trace.form import TraceJob
from diffucli.ui.frame import Frame, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffucli.trace.form import Ending

TITLE = "replay"


class Player:
    """The steps of one candidate, of all files of a run; more may be added while it plays.

    piece: gives a token's bytes. candidate: from 0. hint: how to stop, for the footer. times: when each step was made,
    in seconds since the first; a change of length belongs to the step before it.
    """

    def __init__(
        self, piece: Callable[[int], bytes], *, candidate: int = 0, hint: str = "", encoding: str = "utf-8"
    ) -> None:
        self._piece, self._candidate, self._hint, self._encoding = piece, candidate, hint, encoding
        self._steps: list[list[TraceJob | Happening]] = []
        self.times: list[float] = []
        self._began = 0.0  # the time at which the last canvas began
        self._job: TraceJob | None = None
        self._at = -1
        self.frame = self._new_frame(TraceJob("text", None))

    @property
    def at(self) -> int:
        """The number of the step that is drawn, from 0; -1 before the first one."""
        return self._at

    @property
    def last(self) -> int:
        """The number of the last step so far."""
        return len(self._steps) - 1

    def add(self, item: TraceJob | Ending | Happening | Beside) -> None:
        """One more item of the trace."""
        if isinstance(item, TraceJob):
            self._job = item
            return
        if isinstance(item, Beside):
            number, item = item.number, item.event
        else:
            number = 0
        if number != self._candidate or not isinstance(item, Started | Stepped | Resized | Finished):
            return
        if isinstance(item, Resized) and self._steps:
            self._steps[-1].append(item)
            if self._at == self.last:
                self.frame.take(item)
            return
        end = self.times[-1] if self.times else 0.0
        if isinstance(item, Started):
            self._began = end
        begun: list[TraceJob | Happening] = [self._job] if self._job else []
        self._job = None
        self._steps.append([*begun, item])
        self.times.append(max(end, self._began + getattr(item, "seconds", 0.0)))

    def step_at(self, seconds: float) -> int:
        """The number of the last step that was made by then; -1 if there is none."""
        return bisect_right(self.times, seconds) - 1

    def go(self, step: int) -> None:
        """Draws the state after a step; the first or the last one if there is none such."""
        step = max(min(step, self.last), -1)
        if step < self._at:
            self._at, self.frame = -1, self._new_frame(TraceJob("text", None))
        for at in range(self._at + 1, step + 1):
            self._take(at)
        self._at = step

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """Each step from the first one on: its time in seconds, and the frame, which changes with the next one."""
        for step in range(self.last + 1):
            self.go(step)
            yield self.times[step], self.frame

    def _take(self, step: int) -> None:
        for item in self._steps[step]:
            if isinstance(item, TraceJob):
                self.frame = self._new_frame(item)
            else:
                self.frame.take(item)

    def _new_frame(self, job: TraceJob) -> Frame:
        return Frame(self._piece, View(job.language, job.file or TITLE, self._hint), encoding=self._encoding)
