"""What passes, and what a difference of two on the same problems is worth."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.bench.quality import Quality, verdicts
from diffucli.bench.reference import Published
from diffucli.decode.policy import PRESETS
from diffucli.eval.problems import CodeProblem, Judgement, Problem
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(pairs)
def test_rates_and_errors_are_those_of_the_list_of_verdicts(found: list[tuple[bool, bool]]) -> None:
    mine, theirs = (Quality(tuple(column)) for column in zip(*found, strict=True))
    assert mine.rate == pytest.approx(fmean(mine.passed))
    assert mine.error == pytest.approx(stdev(mine.passed) / sqrt(len(found)))
    paired, back = mine.over(theirs), theirs.over(mine)
    differences = [int(a) - int(b) for a, b in found]
    assert paired.difference == pytest.approx(fmean(differences)) == pytest.approx(mine.rate - theirs.rate)
    n = len(found)
    assert paired.error == pytest.approx(stdev(differences) / sqrt(n) * sqrt((n - 1) / n))
    assert (paired.won, paired.lost) == (back.lost, back.won)
    assert paired.won + paired.lost == sum(a != b for a, b in found)


def test_one_problem_has_no_error_and_equals_do_not_differ() -> None:
    one = Quality((True,))
    assert (one.rate, one.error) == (1, 0)
    assert (one.over(one).difference, one.over(one).error) == (0, 0)


def test_every_problem_is_answered_and_judged_in_order(checkpoint: Checkpoint) -> None:
    problems = [CodeProblem("g", request, "") for request in ("a", "b", "c")]
    judged: list[Problem] = []

    def judge(problem: Problem, text: str) -> Judgement:
        judged.append(problem)
        return Judgement(problem is problems[1], parses=True, reason=text)

    for writer in (Published.of(checkpoint), Engine(checkpoint, PRESETS["fast"])):
        judged.clear()
        assert list(verdicts(writer, problems, length=4, judge=judge)) == [False, True, False]
        assert sorted(judged, key=problems.index) == problems
