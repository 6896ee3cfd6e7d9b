"""Samples are judged beside what makes them; results come in order, as soon as they are known."""

from __future__ import annotations

from functools import partial
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

import pytest

from diffucli.eval.judging import UnjudgedSample, judged
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, Sample, judge
from diffucli.eval.report import group_reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GOOD, BAD = "def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a - b\n"
SLOW, QUITS = "def add(a, b):\n    while True:\n        pass\n", "raise SystemExit(0)\n"
TESTS = "assert candidate(2, 2) == 4\n"
PROBLEMS = [CodeProblem("code", f"add {i}", TESTS) for i in range(3)]


def writes(text: str) -> Sample:
    return Sample(text, nfe=1, tokens=2, seconds=0.1)


def always(problem: Problem, text: str) -> Judgement:
    return Judgement(passed=True, parses=True, reason=text)


def solved(
    problems: Sequence[Problem], solve: Callable[[Problem, int], Sample], *, seeds: Sequence[int]
) -> Iterator[UnjudgedSample]:
    return (UnjudgedSample(i, each, seed, solve(each, seed)) for i, each in enumerate(problems) for seed in seeds)


def test_a_known_solver_has_exact_rates() -> None:
    """Right for the first problem; for the others by seed."""
    texts = {"add 0": [GOOD, GOOD], "add 1": [GOOD, BAD], "add 2": [SLOW, QUITS]}
    problems = [*PROBLEMS, FillProblem("line", "x = ", "1", "\n")]

    def solve(problem: Problem, seed: int) -> Sample:
        return writes(texts[problem.request][seed] if isinstance(problem, CodeProblem) else "12"[seed])

    found = list(judged(solved(problems, solve, seeds=range(2)), judge=partial(judge, seconds=1.0)))
    code, line = group_reports(found)
    assert (code.passes[1], line.passes[1]) == (0.5, 0.5)
    assert [r.judgement.reason for r in found] == ["ok", "ok", "ok", "error", "timeout", "exit", "ok", "differs"]
    assert [(r.index, r.seed) for r in found] == [(i, seed) for i in range(4) for seed in range(2)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_however_long_judging_takes(workers: int) -> None:
    first = Event()

    def slowly(problem: Problem, text: str) -> Judgement:
        if text == "add 0" and workers > 1:
            assert first.wait(5)
        if text == "add 1":
            first.set()
        return always(problem, text)

    samples = solved(PROBLEMS, lambda p, _: writes(p.request), seeds=[7])  # type: ignore[union-attr]
    found = judged(samples, workers=workers, judge=slowly)
    assert [r.judgement.reason for r in found] == ["add 0", "add 1", "add 2"]


def test_nothing_is_solved_before_it_is_asked_for() -> None:
    made: list[int] = []

    def solve(problem: Problem, seed: int) -> Sample:
        made.append(seed)
        return writes("x")

    results = judged(solved(PROBLEMS, solve, seeds=range(100)), workers=1, judge=always)
    assert made == []
    list(islice(results, 3))
    assert len(made) <= 3 + 2, "at most the workers' share ahead"
    results.close()  # type: ignore[attr-defined]


def test_an_error_while_samples_are_made_comes_out() -> None:
    def solve(problem: Problem, seed: int) -> Sample:
        raise LookupError

    with pytest.raises(LookupError):
        list(judged(solved(PROBLEMS, solve, seeds=[0]), judge=always))


def test_what_has_no_answer_is_not_judged() -> None:
    (found,) = judged([UnjudgedSample(0, PROBLEMS[0], 3, writes(""), fault="too long")], judge=always)
    assert (found.judgement.passed, found.judgement.reason, found.seed) == (False, "too long", 3)
