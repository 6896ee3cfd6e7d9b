"""How fast a model writes: every policy answers the same requests.

Only tokens of text count, not those that end or pad an answer, nor those after the end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from diffucli.bench.report import ChartPoint, Findings
from diffucli.bench.stopwatch import BOOKKEEPING, DRAWING, Stopwatch, drawn
from diffucli.edit import source
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite, long_requests
from diffucli.lab import markdown
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from diffucli.bench.writers import Writer
    from diffucli.events import Event
    from diffucli.tasks.engine import Result

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
FULL_NOTE = "The answer fills the canvas: end tokens are forbidden."
COLUMNS = ("answers", "tokens", "NFE", "TPF", "ms/step", "tok/s", "median s", "drawing")
DERIVED = ("tokens_per_forward", "milliseconds_per_step", "tokens_per_second", "drawn")


@dataclass(frozen=True, slots=True)
class Work:
    """What every writer does.

    requests: The requests to answer.
    rounds: How often each of them is answered.
    length: Number of masks for an answer; None is the default of 256.
    full: Whether answers must fill the canvas: end tokens are forbidden.
    """

    requests: Sequence[str] = REQUESTS
    rounds: int = 1
    length: int | None = None
    full: bool = False

    @property
    def all_requests(self) -> list[str]:
        """The requests of all rounds, in order."""
        return [request for _ in range(self.rounds) for request in self.requests]

    def begin(self, writer: Writer, request: str) -> Generator[Event, None, Result]:
        """The events of an answer of `writer` to `request`, which is not verified, and its result."""
        min_tokens = (self.length or DEFAULT_ANSWER_TOKENS) if self.full else 0
        return writer.answer(request, length=self.length, min_tokens=min_tokens, verify="off")


def requests_of(prompts: Path | None, *, long: bool) -> Sequence[str]:
    """The requests in the file `prompts`, one a line; else ten of ours, which ask for whole programs if `long`.

    Raises UsageError if there are none, or if both are wanted.
    """
    if long and prompts:
        raise UsageError("--long and --prompts both choose the requests", hint="give one of them")
    if long:
        return [problem.request for problem in long_requests(Suite.mini, len(REQUESTS))]
    if not prompts:
        return REQUESTS
    found = [line.strip() for line in source.read(prompts).text.splitlines() if line.strip()]
    if not found:
        raise UsageError(f"{prompts} has no request in it", hint="write one request a line")
    return found


@dataclass(frozen=True, slots=True)
class Ratio:
    """One speed divided by another.

    rate: Ratio of the tokens per second; None if the other writer wrote no text.
    forwards: Ratio of the numbers of forwards.
    """

    rate: float | None
    forwards: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What answering requests cost one writer.

    name: Name of the writer.
    requests: Number of answers.
    tokens: Number of tokens of text.
    nfe: Number of forwards.
    seconds: Wall time of all runs without drawing.
    drawing: Wall time of drawing the live view, at most 20 frames a second.
    median: Wall time of the median run.
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
        """Wall time per forward."""
        return 1000 * self.seconds / self.nfe

    @property
    def tokens_per_second(self) -> float:
        """Tokens of text over wall time, prefill included."""
        return self.tokens / self.seconds

    @property
    def drawn(self) -> float:
        """Time of drawing as a share of the time of the runs."""
        return self.drawing / self.seconds

    def over(self, other: Speed) -> Ratio:
        """The ratio of the two speeds, on the same requests."""
        rate = self.tokens_per_second / other.tokens_per_second if other.tokens else None
        return Ratio(rate, self.nfe / other.nfe)


def measure(
    writers: Mapping[str, Writer], work: Work, *, show: Callable[[float], None] = lambda _done: None
) -> list[Speed]:
    """A Speed for each writer. `show` is called with the share done.

    Writers take turns request by request, so that other load on the machine affects all of them alike. Every writer
    first answers one request that does not count.
    """
    for writer in writers.values():
        _timed(writer, work, work.requests[0])
    runs: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in writers}
    requests = work.all_requests
    for count, request in enumerate(requests, start=1):
        for name, writer in writers.items():
            runs[name].append(_timed(writer, work, request))
        show(count / len(requests))
    return [_speed(name, found) for name, found in runs.items()]


def _speed(name: str, runs: Sequence[tuple[int, float, float, float]]) -> Speed:
    tokens, nfe, seconds, drawing = (sum(column) for column in zip(*runs, strict=True))
    return Speed(name, len(runs), int(tokens), nfe, seconds, drawing, median(run[2] for run in runs))


def _timed(writer: Writer, work: Work, request: str) -> tuple[int, float, float, float]:
    """Tokens of text, forwards, seconds, and seconds of drawing of one run."""
    watch = Stopwatch()
    result = drawn(work.begin(writer, request), writer.checkpoint.tokenizer.piece, watch)
    return result.chosen.written.tokens, result.nfe, watch.spent[BOOKKEEPING], watch.spent[DRAWING]


def table(speeds: Sequence[Speed], yardsticks: Sequence[str]) -> str:
    """A Markdown table with one row per writer. yardsticks: writers that every row is divided by."""
    others = [speed for speed in speeds if speed.name in yardsticks]
    ratios = [f"{what} ÷ {other.name}" for other in others for what in ("tok/s", "NFE")]
    return markdown.table(["preset", *COLUMNS, *ratios], [_cells(speed, others) for speed in speeds])


def _cells(speed: Speed, others: Sequence[Speed]) -> list[str]:
    ratios = [speed.over(other) for other in others]
    return [
        speed.name,
        f"{speed.requests}",
        f"{speed.tokens}",
        f"{speed.nfe:g}",
        f"{speed.tokens_per_forward:.1f}",
        f"{speed.milliseconds_per_step:.1f}",
        f"{speed.tokens_per_second:.0f}",
        f"{speed.median:.2f}",
        f"{speed.drawn:.1%}",
        *(cell for ratio in ratios for cell in (_times(ratio.rate), _times(ratio.forwards))),
    ]


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}x"


def findings(speeds: Sequence[Speed], yardsticks: Sequence[str], *, full: bool) -> Findings:
    """The table and its figures. full: whether end tokens were forbidden."""
    text = table(speeds, yardsticks)
    values = {"full": full, "presets": _values(speeds, yardsticks)}
    return Findings(f"{FULL_NOTE}\n\n{text}" if full else text, values)


def _values(speeds: Sequence[Speed], yardsticks: Sequence[str]) -> list[dict[str, object]]:
    others = [speed for speed in speeds if speed.name in yardsticks]
    return [
        {
            **asdict(speed),
            **{name: getattr(speed, name) for name in DERIVED},
            **({"against": {other.name: asdict(speed.over(other)) for other in others}} if others else {}),
        }
        for speed in speeds
    ]


def points(speeds: Sequence[Speed]) -> list[ChartPoint]:
    """Tokens per second over tokens per forward."""
    return [ChartPoint(speed.name, speed.tokens_per_forward, speed.tokens_per_second) for speed in speeds]
