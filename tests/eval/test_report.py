"""pass@k is the mean over all ways to choose k samples; reports are exact, and their table shows them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import sqrt
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.eval.judging import JudgedSample
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Sample
from diffucli.eval.report import GroupReport, group_reports, pass_at, record, table


@given(data=st.data(), samples=st.integers(1, 9))
def test_the_estimator_is_the_share_of_choices_that_hold_one_that_passed(data: st.DataObject, samples: int) -> None:
    passed, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    outcomes = [i < passed for i in range(samples)]
    assert pass_at(k, samples=samples, passed=passed) == pytest.approx(fmean(map(any, combinations(outcomes, k))))


def test_one_of_one_is_the_share_that_passed() -> None:
    assert [pass_at(1, samples=4, passed=c) for c in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert pass_at(10, samples=10, passed=1) == 1
    assert pass_at(10, samples=200, passed=0) == 0


@pytest.mark.parametrize(("k", "samples", "passed"), [(0, 3, 1), (4, 3, 1), (1, 3, 4)])
def test_more_than_there_is_cannot_be_asked(k: int, samples: int, passed: int) -> None:
    with pytest.raises(AssertionError):
        pass_at(k, samples=samples, passed=passed)


def results(group: str, outcomes: list[list[bool]], first: int = 0) -> list[JudgedSample]:
    """A problem for each list, a sample for each outcome; its number and seed show in its cost."""
    return [
        JudgedSample(
            index,
            CodeProblem(group, f"request {index}", ""),
            seed,
            Sample("x", nfe=2 + seed, tokens=10 * (2 + seed), seconds=0.5),
            Judgement(passed, parses=passed or seed == 0, reason="ok" if passed else "error"),
        )
        for index, each in enumerate(outcomes, start=first)
        for seed, passed in enumerate(each)
    ]


def test_a_report_of_single_samples() -> None:
    (report,) = group_reports(results("a", [[True], [False], [True], [True]]))
    assert (report.group, report.problems, report.samples) == ("a", 4, 1)
    assert report.passes == {1: 0.75}
    assert report.error == pytest.approx(0.5 / sqrt(4))
    assert (report.nfe, report.tokens, report.seconds, report.tpf, report.rate) == (2, 20, 0.5, 10, 40)
    assert report.parses == 1


def test_ten_samples_tell_of_ten() -> None:
    (report,) = group_reports(results("a", [[True] + [False] * 9, [False] * 10]))
    assert report.passes == pytest.approx({1: 0.05, 10: 0.5})
    assert report.parses == pytest.approx(2 / 20)
    assert report.nfe == pytest.approx(6.5)


def test_groups_come_in_their_order_however_results_are_mixed() -> None:
    one, two = results("b", [[True], [True]]), results("a", [[False]], first=2)
    found = group_reports([one[0], *two, one[1]])
    assert [(r.group, r.problems, r.passes[1]) for r in found] == [("b", 2, 1.0), ("a", 1, 0.0)]


def test_one_problem_has_no_error_and_none_no_report() -> None:
    assert group_reports([]) == []
    for alike in ([[True]], [[True], [True]], [[False]] * 3):
        assert group_reports(results("a", alike))[0].error is None, "± 0.0 would say that it is sure"


def test_equal_problems_count_each() -> None:
    problem, sample = FillProblem("a", "", "x", ""), Sample("x", 1, 1, 0.0)
    twice = [JudgedSample(i, problem, 0, sample, Judgement(passed=bool(i), parses=True, reason="")) for i in range(2)]
    (report,) = group_reports(twice)
    assert (report.problems, report.passes[1], report.rate) == (2, 0.5, None), "no time was measured"


ONE = GroupReport("tasks", 499, 1, {1: 0.875}, 0.015, 0.99, 0.755, None, 12.34, 61.5, 0.251)


def test_a_row_tells_what_a_report_holds() -> None:
    assert table([ONE]) == (
        "| group | problems |       pass@1 | parses | wrong told | right told |  NFE | tokens | TPF |    s | tok/s |\n"
        "| ----- | -------: | -----------: | -----: | ---------: | ---------: | ---: | -----: | --: | ---: | ----: |\n"
        "| tasks |      499 | 87.5 % ± 1.5 | 99.0 % |       76 % |          - | 12.3 |   61.5 | 5.0 | 0.25 |   245 |"
    )


def test_ten_samples_have_a_column() -> None:
    ten = replace(ONE, samples=10, passes={1: 0.8, 10: 1.0})
    header, _, row = table([ten]).splitlines()
    assert "| pass@10 |" in header
    assert "| 100.0 % |" in row
    assert "pass@10" not in table([ten, ONE]), "only what every group has"


def test_rows_are_aligned() -> None:
    lines = table([ONE, replace(ONE, group="a much longer name", problems=3)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 4


def test_no_reports_are_a_header() -> None:
    assert table([]).startswith("| group | problems | parses |")


def test_a_record_has_the_problem_its_judgement_and_every_field_of_the_sample() -> None:
    hole = FillProblem("lines", "x = ", "1", "\n")
    sample, judgement = Sample("2", nfe=3, tokens=1, seconds=0.5, refused=True), Judgement(False, True, "differs")
    assert record(JudgedSample(7, hole, 4, sample, judgement, "oracle")) == {
        "group": "lines",
        "index": 7,
        "title": "1",
        "seed": 4,
        "length": "oracle",
        "ok": False,
        "base": None,
        "parses": True,
        "reason": "differs",
        "text": "2",
        "nfe": 3,
        "tokens": 1,
        "seconds": 0.5,
        "refused": True,
        "doubtful": False,
        "evidence": {"mean_logprob": 0.0, "reread_logprob": 0.0, "end_logprob": 0.0, "repairs": 0, "warnings": 0},
    }
