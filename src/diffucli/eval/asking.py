"""Samples of problems as rows of a batch, which an executor writes; each says how long its hole may be.

Knows problems and rows; of models only the tokenizer, which says what the true length of a hole is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.batch.rows import FillRow, GenRow
from diffucli.batch.worker import SeededRow, WrittenRow
from diffucli.eval.judging import AUTO, UnjudgedSample
from diffucli.eval.lengths import ORACLE
from diffucli.eval.problems import CodeProblem, FillProblem, RepairProblem, Sample
from diffucli.executors.executor import Failure
from diffucli.model import load, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.batch.worker import RowWorker
    from diffucli.eval.judging import JudgedSample
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


def wanted(
    problems: Sequence[Problem], *, seeds: Sequence[int], lengths: Sequence[str] = (AUTO,)
) -> list[WantedSample]:
    """A sample for each length, problem and seed, in this order."""
    return [
        WantedSample(index, problem, seed, length)
        for length in lengths
        for index, problem in enumerate(problems)
        for seed in seeds
    ]


def samples(
    executor: Executor, worker: RowWorker, wanted: Sequence[WantedSample], *, answer: int
) -> Iterator[UnjudgedSample]:
    """What the executor's workers write, as it comes. answer: masks of an answer."""
    by_key = {each.key: each for each in wanted}
    tokenizer = _tokenizer(worker.model) if any(each.length == ORACLE for each in wanted) else None
    rows = ((key, SeededRow(row_of(each, tokenizer, answer=answer), each.seed)) for key, each in by_key.items())
    for key, outcome in executor.run(worker, rows):
        yield _unjudged(by_key[key], outcome)


def row_of(wanted: WantedSample, tokenizer: Tokenizer | None, *, answer: int) -> GenRow | FillRow:
    """What a sample's row asks for. tokenizer: needed where a hole has its true length. answer: masks of an answer."""
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


def sample_of(problem: Problem, row: WrittenRow) -> Sample:
    """A row as a sample: its code, what it put into the hole, or the whole mended text."""
    text = row.text if isinstance(problem, RepairProblem) else row.pieces[0]
    doubt = row.doubt
    return Sample(text, row.nfe, row.tokens, row.seconds, bool(row.refusal), doubt.doubtful, doubt.evidence)


def _unjudged(wanted: WantedSample, outcome: WrittenRow | Failure) -> UnjudgedSample:
    about = wanted.index, wanted.problem, wanted.seed
    match outcome:
        case Failure(message):
            return UnjudgedSample(*about, Sample("", 0.0, 0, 0.0, refused=True), wanted.length, message)
        case WrittenRow():
            return UnjudgedSample(*about, sample_of(wanted.problem, outcome), wanted.length)


def _tokenizer(model: str) -> Tokenizer:
    _, _, tokenizer = load.check(registry.find(model).folder)
    return tokenizer
