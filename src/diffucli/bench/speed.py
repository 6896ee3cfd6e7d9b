"""How fast a model writes: the same requests by each policy, in figures that add up.

A token counts when it is text: what ends or pads an answer does not, nor what follows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from diffucli.bench.stopwatch import BOOKKEEPING, DRAWING, Stopwatch, drawn
from diffucli.eval.evaluate import text_tokens
from diffucli.tasks.engine import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.eval.evaluate import Writer
    from diffucli.tasks.engine import Run

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


@dataclass(frozen=True, slots=True)
class Work:
    """What is written, `rounds` times over. length: masks for an answer; None: 256. full: an answer may not end."""

    requests: Sequence[str] = REQUESTS
    rounds: int = 1
    length: int | None = None
    full: bool = False

    def begin(self, writer: Writer, request: str) -> Run:
        """A run of `writer` that answers `request`."""
        least = (self.length or ANSWER) if self.full else 0
        return writer.generate(request, length=self.length, least=least)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A Speed in multiples of another one. rate: of tokens per second; None: the other wrote none. forwards: of NFE."""

    rate: float | None
    forwards: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Requests written by `name`. tokens: of text. seconds: wall time of the runs, drawing left out.

    drawing: seconds spent on frames, 20 a second at most. median: seconds of the middle run.
    """

    name: str
    requests: int
    tokens: int
    nfe: float
    seconds: float
    drawing: float
    median: float

    @property
    def tokens_per_forward(self) -> float:
        """TPF."""
        return self.tokens / self.nfe

    @property
    def milliseconds_per_step(self) -> float:
        """Wall time of a denoising step, or of a forward where guesses save some."""
        return 1000 * self.seconds / self.nfe

    @property
    def tokens_per_second(self) -> float:
        """Tokens of text over wall time, prefill included."""
        return self.tokens / self.seconds

    @property
    def drawn(self) -> float:
        """What the live view costs, as a share of the run."""
        return self.drawing / self.seconds

    def over(self, other: Speed) -> Ratio:
        """How this compares with `other`, which wrote the same requests."""
        rate = self.tokens_per_second / other.tokens_per_second if other.tokens else None
        return Ratio(rate, self.nfe / other.nfe)


def measure(
    writers: Mapping[str, Writer], work: Work, *, show: Callable[[float], None] = lambda _done: None
) -> list[Speed]:
    """A Speed for each writer. `show` is told the share done.

    They take turns request by request, so that what else the machine does falls on all alike. Every writer first
    writes one request that does not count.
    """
    for writer in writers.values():
        _timed(writer, work, work.requests[0])
    runs: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in writers}
    requests = [request for _ in range(work.rounds) for request in work.requests]
    for count, request in enumerate(requests, start=1):
        for name, writer in writers.items():
            runs[name].append(_timed(writer, work, request))
        show(count / len(requests))
    return [_speed(name, found) for name, found in runs.items()]


def _speed(name: str, runs: Sequence[tuple[int, float, float, float]]) -> Speed:
    tokens, nfe, seconds, drawing = (sum(column) for column in zip(*runs, strict=True))
    return Speed(name, len(runs), int(tokens), nfe, seconds, drawing, median(run[2] for run in runs))


def _timed(writer: Writer, work: Work, request: str) -> tuple[int, float, float, float]:
    """Tokens, forwards, seconds and seconds of drawing of one run."""
    words, watch = writer.checkpoint.tokenizer, Stopwatch()
    run = work.begin(writer, request)
    final = drawn(run, words.piece, watch)
    watch.lap(BOOKKEEPING)
    return text_tokens(run, final, mask=words.mask), final.nfe, watch.spent[BOOKKEEPING], watch.spent[DRAWING]
