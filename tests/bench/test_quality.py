"""What passes, and what a difference of two on the same problems is worth."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.bench.quality import Quality, findings, measure, points, table
from diffucli.bench.reference import PublishedLoop
from diffucli.bench.writers import UNREPAIRED, WRITING, Writer
from diffucli.decode.policy import PRESETS
from diffucli.eval.problems import CodeProblem, Judgement, Problem, Sample
from diffucli.tasks.engine import Effort

if TYPE_CHECKING:
    from tests.conftest import Script

    from diffucli.model.load import Checkpoint

SAMPLE = Sample("x", nfe=2, tokens=10, seconds=0.5)
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


def quality(name: str, *passed: bool) -> Quality:
    return Quality(name, (SAMPLE,) * len(passed), passed)


@given(pairs)
def test_rates_and_errors_are_those_of_the_list_of_verdicts(found: list[tuple[bool, bool]]) -> None:
    mine, theirs = (quality("x", *column) for column in zip(*found, strict=True))
    assert mine.rate == pytest.approx(fmean(mine.passed))
    assert (mine.error or 0) == pytest.approx(stdev(mine.passed) / sqrt(len(found)))
    paired, back = mine.over(theirs), theirs.over(mine)
    differences = [int(a) - int(b) for a, b in found]
    assert paired.difference == pytest.approx(fmean(differences)) == pytest.approx(mine.rate - theirs.rate)
    n = len(found)
    assert (paired.error or 0) == pytest.approx(stdev(differences) / sqrt(n) * sqrt((n - 1) / n))
    assert (paired.won, paired.lost) == (back.lost, back.won)
    assert paired.won + paired.lost == sum(a != b for a, b in found)


def test_one_problem_has_no_error_and_equals_do_not_differ() -> None:
    one = quality("x", True)
    assert (one.rate, one.error) == (1, None)
    assert (one.over(one).difference, one.over(one).error) == (0, None)
    assert "±" not in table([one])


def test_writers_take_turns_and_answers_are_judged_after_the_last_one(checkpoint: Checkpoint) -> None:
    problems = [CodeProblem("g", request, "") for request in ("a", "b", "c")]
    judged: list[Problem] = []
    done: list[float] = []

    def judge(problem: Problem, text: str) -> Judgement:
        assert done == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
        judged.append(problem)
        return Judgement(problem is problems[1], parses=True, reason=text)

    writers = {
        "published": Writer(checkpoint, PRESETS["exact"], PublishedLoop.of(checkpoint), effort=UNREPAIRED),
        "fast": Writer(checkpoint, PRESETS["fast"], effort=WRITING),
    }
    found = measure(writers, problems, length=4, judge=judge, show=done.append)
    assert [each.name for each in found] == ["published", "fast"]
    for each in found:
        assert each.passed == (False, True, False)
        assert len(each.samples) == 3
    assert found[0].nfe == 3 * 4
    assert sorted(judged, key=problems.index) == [problem for problem in problems for _ in writers]


def test_an_answer_that_does_not_parse_is_repaired_where_the_writer_allows_and_all_versions_count(
    checkpoint: Checkpoint, script: type[Script]
) -> None:
    def judge(problem: Problem, text: str) -> Judgement:
        return Judgement(text == "x = (1)\n", parses=True, reason=text)

    decodes = [script(checkpoint, "x = (1", repair=")") for _ in range(2)]
    writers = {
        str(rounds): Writer(checkpoint, PRESETS["balanced"], decode, effort=Effort(repair=rounds, doubt=False))
        for rounds, decode in zip((2, 0), decodes, strict=True)
    }
    some, none = measure(writers, [CodeProblem("g", "a", "")], length=12, judge=judge)
    assert (some.passed, some.nfe) == ((True,), 2 + 2 * len(decodes[0].repairs))
    assert (none.passed, none.nfe) == ((False,), 2)


def test_costs_are_sums_over_the_samples() -> None:
    found = Quality("x", (Sample("a", 2, 10, 0.5), Sample("b", 3, 20, 1.0)), (True, False))
    assert (found.tokens, found.nfe, found.seconds, found.tokens_per_second) == (30, 5, 1.5, 20)
    (point,) = points([found])
    assert (point.name, point.x, point.rate, point.error) == ("x", 50, 20, 100 * found.error)


def test_the_table_shows_pass_at_1_and_the_difference_from_the_first_row() -> None:
    found = findings(
        [quality("slow", True, False, False, False), quality("fast", True, True, True, False)], "namespaces"
    )
    header, _, first, second, _, how = found.text.splitlines()
    assert (how, found.values["confinement"]) == ("The code was confined by namespaces.", "namespaces")
    assert [cell.strip() for cell in header.strip("| ").split("|")][:4] == [
        "preset",
        "problems",
        "pass@1",
        "to the first",
    ]
    assert [cell.strip() for cell in first.split("|")][1:5] == ["slow", "4", "25.0 % ± 25.0", ""]
    assert [cell.strip() for cell in second.split("|")][1:5] == [
        *("fast", "4", "75.0 % ± 25.0", "+50.0 ± 25.0 (2 won, 0 lost)"),
    ]
    _, values = found.values["presets"]  # type: ignore[misc]
    assert values["quality"]["passed"] == (True, True, True, False)
    assert values["quality"]["to_first"] == {"won": 2, "lost": 0, "problems": 4, "difference": 0.5, "error": 0.25}
