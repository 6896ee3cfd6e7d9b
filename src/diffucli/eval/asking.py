"""Samples of problems as rows of a batch, which an executor writes; each says how long its hole may be.

Knows problems and rows; neither models nor files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.batch.rows import FillRow, GenRow
from diffucli.batch.worker import SeededRow, WrittenRow
from diffucli.eval.evaluate import AUTO, UnjudgedSample
from diffucli.eval.lengths import ORACLE
from diffucli.eval.problems import CodeProblem, FillProblem, RepairProblem, Sample
from diffucli.executors.executor import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.batch.worker import RowWorker
    from diffucli.eval.evaluate import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.executors.executor import Executor
    from diffucli.model.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class WantedSample:
    """A sample that is to be written: of problem number `index`, with a seed, and a length of `lengths.LENGTHS`."""

    index: int
    problem: Problem
    seed: int
    length: str = AUTO

    @property
    def key(self) -> str:
        """Its name among all samples."""
        return key_of(self)


def key_of(sample: WantedSample | JudgedSample) -> str:
    """The name of a sample among all of an evaluation."""
    return f"{sample.index}/{sample.length}/{sample.seed}"


def samples(
    executor: Executor, worker: RowWorker, wanted: Iterable[WantedSample], *, tokenizer: Tokenizer | None, answer: int
) -> Iterator[UnjudgedSample]:
    """What the executor's workers write, as it comes.

    tokenizer: of the model; None if no hole has its true length. answer: masks of an answer.
    """
    by_key = {each.key: each for each in wanted}
    rows = ((key, SeededRow(row_of(each, tokenizer, answer=answer), each.seed)) for key, each in by_key.items())
    for key, outcome in executor.run(worker, rows):
        yield _unjudged(by_key[key], outcome)


def row_of(wanted: WantedSample, tokenizer: Tokenizer | None, *, answer: int) -> GenRow | FillRow:
    """What a row asks for."""
    match wanted.problem:
        case CodeProblem(request=request):
            return GenRow(request, length=answer)
        case FillProblem(before=before, after=after):
            return FillRow(before, after, length=_bounds(wanted, tokenizer))
        case RepairProblem(broken=broken):
            return FillRow(broken, regions=(":errors",))


def _bounds(wanted: WantedSample, tokenizer: Tokenizer | None) -> tuple[int, int] | None:
    if wanted.length == AUTO:
        return None
    assert isinstance(wanted.problem, FillProblem)
    if wanted.length == ORACLE:
        assert tokenizer is not None
        tokens = len(tokenizer.encode(wanted.problem.expected))
    else:
        tokens = int(wanted.length)
    return max(tokens, 1), max(tokens, 1)


def _unjudged(wanted: WantedSample, outcome: WrittenRow | Failure) -> UnjudgedSample:
    about = wanted.index, wanted.problem, wanted.seed
    match outcome:
        case Failure(message):
            return UnjudgedSample(*about, Sample("", 0.0, 0, 0.0, refused=True), wanted.length, message)
        case WrittenRow():
            text = outcome.text if isinstance(wanted.problem, RepairProblem) else outcome.pieces[0]
            doubt = outcome.doubt
            sample = Sample(
                text,
                outcome.nfe,
                outcome.tokens,
                outcome.seconds,
                bool(outcome.refusal),
                doubt.doubtful,
                doubt.evidence,
            )
            return UnjudgedSample(*about, sample, wanted.length)
