"""How good answers are, writer by writer on the same problems, and what it means that two differ."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from diffucli.eval.evaluate import answer, evaluate
from diffucli.eval.problems import CodeProblem, Problem, Sample, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.eval.evaluate import Judge, Writer


@dataclass(frozen=True, slots=True)
class Quality:
    """Which of the problems one writer solved, in their order."""

    passed: tuple[bool, ...]

    @property
    def rate(self) -> float:
        """pass@1, a share."""
        return sum(self.passed) / len(self.passed)

    @property
    def error(self) -> float:
        """Its standard error over the problems; 0 where there is but one."""
        return sqrt(self.rate * (1 - self.rate) / max(len(self.passed) - 1, 1))

    def over(self, other: Quality) -> Paired:
        """How it differs from `other` on the same problems."""
        pairs = list(zip(self.passed, other.passed, strict=True))
        won, lost = (sum(mine and not theirs for mine, theirs in each) for each in (pairs, [p[::-1] for p in pairs]))
        return Paired(won, lost, len(pairs))


@dataclass(frozen=True, slots=True)
class Paired:
    """Two writers on `problems` problems. won, lost: those that only the one, only the other solved."""

    won: int
    lost: int
    problems: int

    @property
    def difference(self) -> float:
        """Of their pass@1."""
        return (self.won - self.lost) / self.problems

    @property
    def error(self) -> float:
        """Its standard error, from the problems on which they differ (McNemar 1947); 0 where they never do."""
        return sqrt(self.won + self.lost - (self.won - self.lost) ** 2 / self.problems) / self.problems


def verdicts(
    writer: Writer, problems: Sequence[CodeProblem], *, length: int | None = None, judge: Judge = judge
) -> Iterator[bool]:
    """Whether `writer` solves each of `problems`, one after the other."""

    def solve(problem: Problem, _: int) -> Sample:
        assert isinstance(problem, CodeProblem)
        return answer(writer, problem.request, length=length)

    for result in evaluate(problems, solve, seeds=[0], judge=judge):
        yield result.judgement.passed
