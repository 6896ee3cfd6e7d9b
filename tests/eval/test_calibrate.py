"""Calibration: fitted on one half of the judged samples, measured on the other."""

from __future__ import annotations

import random

import pytest

from diffucli.eval.calibrate import Case, below, calibrate, cases, curve, threshold
from diffucli.eval.judging import JudgedSample
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, RepairProblem, Sample
from diffucli.tasks.doubt import Calibration, Evidence

BY_MEAN = Calibration((1.0, 0.0, 0.0, 0.0, 0.0), 0.0, 0.0)


def case(mean: float, right: bool, repairs: int = 0) -> Case:
    return Case(Evidence(mean, mean, mean, repairs, 0), right)


def drawn(count: int) -> list[Case]:
    """Cases whose right texts are surer than the wrong ones, with some overlap."""
    rng = random.Random(0)
    found = []
    for _ in range(count):
        right = rng.random() < 0.7
        found.append(case(-abs(rng.gauss(0.03 if right else 0.5, 0.15)), right))
    return found


def test_a_calibration_parts_right_from_wrong() -> None:
    made = calibrate(found := drawn(400))
    assert made is not None
    calibration, others = made
    assert others == found[1::2]
    assert all(weight >= 0 for weight in calibration.weights)
    assert calibration.probability(case(-0.01, True).evidence) > 0.8
    assert calibration.probability(case(-1.0, False).evidence) < 0.2
    assert below(calibration, found[::2], calibration.threshold, right=True) <= 0.1
    assert below(calibration, others, calibration.threshold, right=False) > 0.7


def test_probabilities_are_those_of_the_data() -> None:
    """Without any evidence a text is right as often as texts are."""
    found = [case(-0.1, number % 4 < 3) for number in range(400)]
    random.Random(1).shuffle(found)
    made = calibrate(found)
    assert made is not None
    share = sum(each.right for each in found[::2]) / 200
    assert made[0].probability(found[0].evidence) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("found", [drawn(19), [case(-0.1, True)] * 100, [case(-0.1, True), case(-0.2, False)] * 50, []])
def test_too_few_cases_or_cases_of_one_kind_give_none(found: list[Case]) -> None:
    assert calibrate(found) is None


def test_a_threshold_has_a_share_of_the_right_texts_below_it() -> None:
    found = [case(-number / 10, True) for number in range(1, 11)] + [case(-9.0, False)]
    limit = threshold(BY_MEAN, found, 0.2)
    assert below(BY_MEAN, found, limit, right=True) == 0.2
    assert below(BY_MEAN, found, limit, right=False) == 1.0
    assert below(BY_MEAN, [], limit, right=True) == 0.0


def test_only_what_tests_have_judged_and_commands_would_write_counts() -> None:
    code, fill = CodeProblem("a", "x", "assert"), FillProblem("b", "", "x", "", "assert")
    repair, untested = RepairProblem("c", "(", "()", "assert"), FillProblem("d", "", "x", "")
    good, refused = Sample("x", 1, 1, 0.1), Sample("x", 1, 1, 0.1, refused=True)
    right = Judgement(True, True, "ok")
    problems = [(code, good), (code, refused), (fill, good), (repair, good), (untested, good)]
    samples = [JudgedSample(i, problem, 0, sample, right) for i, (problem, sample) in enumerate(problems)]
    assert len(cases(samples, "gen")) == 1
    assert len(cases(samples, "fill")) == len(cases(samples, "mend")) == 1


def test_the_curve_has_a_row_for_each_share() -> None:
    found = drawn(400)
    made = calibrate(found)
    assert made is not None
    lines = curve([("gen", made[0], found[::2], made[1])]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["5%", "10%", "20%"]
    right = sum(each.right for each in made[1])
    assert f" of {right} " in lines[2]
    caught = [int(line.split("|")[4].split("%")[0]) for line in lines[2:]]
    assert caught == sorted(caught)
