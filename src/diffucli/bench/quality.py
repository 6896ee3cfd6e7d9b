"""How many problems each writer solves, and whether the difference between two writers is significant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING

from diffucli.batch.worker import written
from diffucli.bench.report import ChartPoint, Findings
from diffucli.eval.asking import sample_of
from diffucli.eval.judging import UnjudgedSample, judged
from diffucli.eval.problems import CodeProblem, Sample, judge
from diffucli.lab import markdown
from diffucli.sandbox import DESCRIPTIONS
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.bench.writers import Writer
    from diffucli.eval.judging import Judge
    from diffucli.sandbox import Confinement

COLUMNS = ("preset", "problems", "pass@1", "to the first", "tokens", "NFE", "TPF", "tok/s")


@dataclass(frozen=True, slots=True)
class Quality:
    """The answers of one writer to problems, and which of them passed, in the order of the problems."""

    name: str
    samples: tuple[Sample, ...]
    passed: tuple[bool, ...]

    @property
    def rate(self) -> float:
        """pass@1 as a share."""
        return sum(self.passed) / len(self.passed)

    @property
    def error(self) -> float | None:
        """Standard error of pass@1 over the problems; None where they are all alike, so that it cannot be told."""
        return sqrt(self.rate * (1 - self.rate) / max(len(self.passed) - 1, 1)) or None

    @property
    def tokens(self) -> int:
        """Tokens of text of all answers."""
        return sum(sample.tokens for sample in self.samples)

    @property
    def nfe(self) -> float:
        """Forwards of all answers, retries included."""
        return sum(sample.nfe for sample in self.samples)

    @property
    def seconds(self) -> float:
        """Wall time of decoding all answers, retries included."""
        return sum(sample.seconds for sample in self.samples)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of text over wall time; 0 if no time was measured."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def over(self, other: Quality) -> PairedDifference:
        """The difference from `other` on the same problems."""
        pairs = list(zip(self.passed, other.passed, strict=True))
        won = sum(mine and not theirs for mine, theirs in pairs)
        lost = sum(theirs and not mine for mine, theirs in pairs)
        return PairedDifference(won, lost, len(pairs))


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Two writers on the same problems. won: solved by the first one only; lost: solved by the second one only."""

    won: int
    lost: int
    problems: int

    @property
    def difference(self) -> float:
        """pass@1 of the first one minus that of the second one."""
        return (self.won - self.lost) / self.problems

    @property
    def error(self) -> float | None:
        """Standard error of the difference, from the problems that only one of them solved (McNemar 1947).

        None: there are none, or no others.
        """
        return sqrt(self.won + self.lost - (self.won - self.lost) ** 2 / self.problems) / self.problems or None


def measure(
    writers: Mapping[str, Writer],
    problems: Sequence[CodeProblem],
    *,
    length: int | None = None,
    judge: Judge = judge,
    show: Callable[[float], None] = lambda _done: None,
) -> list[Quality]:
    """The quality of each writer. length: masks for an answer. `show` is called with the share done.

    Writers take turns problem by problem, so that other load on the machine affects all of them alike. Answers are
    judged after the last one is written, because the sandbox would slow the decoding down.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in writers}
    for count, problem in enumerate(problems, start=1):
        for name, writer in writers.items():
            row = written(pull(writer.answer(problem.request, length=length)))
            samples[name].append(sample_of(problem, row))
        show(count / len(problems))
    return [Quality(name, tuple(found), _passed(problems, found, judge)) for name, found in samples.items()]


def _passed(problems: Sequence[CodeProblem], samples: Sequence[Sample], judge: Judge) -> tuple[bool, ...]:
    pairs = enumerate(zip(problems, samples, strict=True))
    results = judged((UnjudgedSample(i, problem, 0, sample) for i, (problem, sample) in pairs), judge=judge)
    return tuple(result.judgement.passed for result in results)


def table(qualities: Sequence[Quality]) -> str:
    """A Markdown table with one row per writer: pass@1 and the difference from the first row, ± one standard error."""
    return markdown.table(COLUMNS, [_cells(each, qualities[0]) for each in qualities])


def _cells(quality: Quality, first: Quality) -> list[str]:
    paired = quality.over(first)
    difference = (
        f"{markdown.uncertain(f'{100 * paired.difference:+.1f}', paired.error)} ({paired.won} won, {paired.lost} lost)"
        if quality is not first
        else ""
    )
    return [
        quality.name,
        f"{len(quality.passed)}",
        markdown.uncertain(f"{100 * quality.rate:.1f} %", quality.error),
        difference,
        f"{quality.tokens}",
        f"{quality.nfe:g}",
        f"{quality.tokens / quality.nfe:.1f}",
        f"{quality.tokens_per_second:.0f}",
    ]


def findings(qualities: Sequence[Quality], confinement: Confinement) -> Findings:
    """The table and its figures, and how the code was confined."""
    found: list[dict[str, object]] = []
    for each in qualities:
        paired = each.over(qualities[0])
        to_first = {**asdict(paired), "difference": paired.difference, "error": paired.error}
        figures = ("name", "tokens", "nfe", "seconds", "tokens_per_second")
        quality = {"passed": each.passed, "pass_at_1": each.rate, "error": each.error, "to_first": to_first}
        found.append({**{name: getattr(each, name) for name in figures}, "quality": quality})
    text = f"{table(qualities)}\n\nThe code was {DESCRIPTIONS[confinement]}."
    return Findings(text, {"confinement": confinement, "presets": found})


def points(qualities: Sequence[Quality]) -> list[ChartPoint]:
    """Tokens per second over pass@1 in percent."""
    return [
        ChartPoint(each.name, 100 * each.rate, each.tokens_per_second, 100 * (each.error or 0)) for each in qualities
    ]
