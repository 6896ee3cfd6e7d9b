"""Verdicts: tests in the sandbox that reach their end, and holes that hold what stood there."""

from __future__ import annotations

import pytest

from diffucli.eval.problems import CodeProblem, FillProblem, RepairProblem, judge

ADD = CodeProblem("g", "add two numbers", "assert candidate(1, 2) == 3\nassert candidate(0, 0) == 0\n")
LINE = FillProblem("g", "def f(x):\n    ", "return x + 1", "\n")


def test_a_right_answer_passes() -> None:
    verdict = judge(ADD, "def add(a, b):\n    return a + b\n")
    assert (verdict.passed, verdict.parses, verdict.reason) == (True, True, "ok")


@pytest.mark.parametrize(
    ("code", "parses", "reason"),
    [
        ("def add(a, b):\n    return a - b\n", True, "error"),
        ("def add(a, b)\n    return a + b\n", False, "error"),
        ("", False, "error"),
        ("import sys\nsys.exit(0)\n", True, "exit"),
        ("import os\nos._exit(0)\n", True, "exit"),
        ("def add(a, b):\n    raise SystemExit\n", True, "exit"),
    ],
)
def test_what_does_not_reach_the_end_of_the_tests_fails(code: str, parses: bool, reason: str) -> None:
    verdict = judge(ADD, code)
    assert (verdict.passed, verdict.parses, verdict.reason) == (False, parses, reason)


def test_what_takes_too_long_fails() -> None:
    verdict = judge(ADD, "def add(a, b):\n    while True:\n        pass\n", seconds=0.6)
    assert (verdict.passed, verdict.parses, verdict.reason) == (False, True, "timeout")


@pytest.mark.parametrize(
    ("text", "passed", "parses"),
    [
        ("return x + 1", True, True),
        ("return  x + 1 ", True, True),
        ("return x+1", False, True),
        ("return x - 1", False, True),
        ("return (x", False, False),
        ("", False, False),
    ],
)
def test_a_hole_must_hold_what_stood_there(text: str, passed: bool, parses: bool) -> None:
    verdict = judge(LINE, text)
    assert (verdict.passed, verdict.parses) == (passed, parses)
    assert verdict.reason == ("ok" if passed else "differs")


@pytest.mark.parametrize(("text", "passed", "parses"), [("return 1 + x", True, True), ("return x", False, True)])
def test_a_hole_whose_code_has_tests_may_hold_whatever_passes_them(text: str, passed: bool, parses: bool) -> None:
    verdict = judge(FillProblem("g", LINE.before, LINE.expected, LINE.after, "assert candidate(1) == 2\n"), text)
    assert (verdict.passed, verdict.parses) == (passed, parses)


REPAIR = RepairProblem("g", "def f(x)\n    return x\n", "def f(x):\n    return x\n", "assert candidate(3) == 3\n")


@pytest.mark.parametrize(
    ("text", "passed", "parses"),
    [
        (REPAIR.original, True, True),
        ("def other(y):\n    return +y\n", True, True),
        ("def f(x):\n    return 0\n", False, True),
        (REPAIR.broken, False, False),
    ],
    ids=["original", "another", "wrong", "broken"],
)
def test_a_repair_is_judged_by_running_the_whole_program(text: str, passed: bool, parses: bool) -> None:
    verdict = judge(REPAIR, text)
    assert (verdict.passed, verdict.parses) == (passed, parses)


def test_a_repair_is_named_by_the_line_that_is_broken() -> None:
    assert REPAIR.title == "def f(x)"
    assert RepairProblem("g", "x = (\n", "x = (\n1)\n", "").title == "x = (\n", "else by all of it"
