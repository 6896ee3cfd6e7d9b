"""How fast a model writes: the same requests by each policy, in figures that add up.

A token counts when it is text: what ends or pads an answer does not.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from diffucli.engine import Engine
from diffucli.events import Finished
from diffucli.ui.frame import Frame, View
from diffucli.ui.live import Pace
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from diffucli.decode.policy import Policy
    from diffucli.engine import Run
    from diffucli.model.load import Checkpoint

REQUESTS = (
    "write a quicksort",
    "check whether a string is a palindrome",
    "nth fibonacci number with memoization",
    "a stack class",
    "read a csv file and sum a column",
    "binary search in a sorted list",
    "sum of the squares of the even numbers",
    "longest word that starts with a vowel",
    "count the words in a text",
    "merge two dictionaries",
)
SCREEN = (100, 40)  # columns and rows of the terminal that drawing is measured on


@dataclass(frozen=True, slots=True)
class Speed:
    """Requests written by the policy `name`. tokens: of text. seconds: wall time of the runs, drawing left out.

    drawing: seconds spent on frames, 20 a second at most. median: seconds of the middle run.
    """

    name: str
    requests: int
    tokens: int
    nfe: int
    seconds: float
    drawing: float
    median: float

    @property
    def tokens_per_forward(self) -> float:
        """TPF."""
        return self.tokens / self.nfe

    @property
    def milliseconds_per_step(self) -> float:
        """Wall time of a denoising step."""
        return 1000 * self.seconds / self.nfe

    @property
    def tokens_per_second(self) -> float:
        """Tokens of text over wall time, prefill included."""
        return self.tokens / self.seconds

    @property
    def drawn(self) -> float:
        """What the live view costs, as a share of the run."""
        return self.drawing / self.seconds


def measure(
    checkpoint: Checkpoint,
    policies: Mapping[str, Policy],
    requests: Sequence[str] = REQUESTS,
    *,
    rounds: int = 1,
    length: int | None = None,
) -> Iterator[Speed]:
    """A Speed for each policy, one after the other; every policy first writes one request that does not count."""
    for name, policy in policies.items():
        _timed(checkpoint, policy, requests[0], length)
        runs = [
            _timed(checkpoint, replace(policy, seed=policy.seed + i), request, length)
            for i in range(rounds)
            for request in requests
        ]
        tokens, nfe, seconds, drawing = (sum(column) for column in zip(*runs, strict=True))
        middle = median(run[2] for run in runs)
        yield Speed(name, len(runs), int(tokens), int(nfe), seconds, drawing, middle)


def _timed(checkpoint: Checkpoint, policy: Policy, request: str, length: int | None) -> tuple[int, int, float, float]:
    """Tokens, forwards, seconds and seconds of drawing of one run."""
    begun = time.perf_counter()
    run = Engine(checkpoint, policy).generate(request, length=length)
    final, drawing = _drawn(run, checkpoint)
    seconds = time.perf_counter() - begun - drawing
    hole, silent = run.layout.holes[0], run.ends | {checkpoint.vocabulary.mask}
    tokens = sum(token not in silent for token in final.tokens[hole.start : hole.stop])
    return tokens, final.nfe, seconds, drawing


def _drawn(run: Run, checkpoint: Checkpoint) -> tuple[Finished, float]:
    """The run's end, drawn as on a terminal, and the seconds that drawing took."""
    view = View(run.layout.shown.start, run.layout.shown.stop, ends=run.ends)
    frame, pace, drawing = Frame(checkpoint.vocabulary.piece, view), Pace(20), 0.0
    screen = Screen(io.StringIO(), size=lambda: SCREEN)
    with screen:
        for event in run.events:
            begun = time.perf_counter()
            frame.take(event)
            if pace.due():
                screen.paint(frame)
            drawing += time.perf_counter() - begun
    assert isinstance(event, Finished)
    return event, drawing
