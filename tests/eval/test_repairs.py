"""500 broken programs, the same every time; each does not compile, and each original passes its tests."""

from __future__ import annotations

from collections import Counter

from diffucli.eval.problems import judge
from diffucli.eval.repairs import broken_programs
from diffucli.mini.classics import classics
from diffucli.syntax import languages
from diffucli.syntax.check import check

ALL = broken_programs()


def test_there_are_500_of_four_kinds_the_same_every_time() -> None:
    assert len(set(ALL)) == 500
    kinds = ["bracket deleted", "colon dropped", "indentation broken", "line cut"]
    assert Counter(problem.group for problem in ALL) == {f"repair: {kind}": 125 for kind in kinds}
    assert broken_programs() == ALL


def test_half_are_solutions_and_half_compositions() -> None:
    solutions = {task.solutions[0] for task in classics()}
    assert 240 < sum(problem.original in solutions for problem in ALL) < 260


def test_fewer_are_the_first_of_more() -> None:
    assert broken_programs(2) == [problem for i in range(4) for problem in ALL[125 * i : 125 * i + 2]]
    assert broken_programs(1000) == ALL


def test_none_compiles_and_each_lacks_what_its_original_has() -> None:
    python = languages.by_name("python")
    assert not [problem.title for problem in ALL if check(problem.broken, python).ok]
    assert not [problem.title for problem in ALL if not check(problem.original, python).ok]


def test_the_original_passes_and_the_broken_one_does_not() -> None:
    for problem in ALL[::25]:
        assert judge(problem, problem.original).passed, problem.original
        assert not judge(problem, problem.broken).passed, problem.broken
