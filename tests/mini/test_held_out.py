"""What is held out of training is never drawn for it, and is the same every time."""

from __future__ import annotations

import ast
import random

import pytest

from diffucli.mini import corpus, held_out
from diffucli.mini.classics import classics, held_out_requests, programs
from diffucli.mini.compositions import held_out as is_held_out
from diffucli.mini.corpus import Function
from diffucli.mini.wording import normalize, sentence
from diffucli.sandbox import run_tests


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages held out that hold three functions."""
    codes = [
        "def twice(number):\n    result = number * 2\n    return result\n",
        "def both(a, b):\n    if a:\n        b = call(a,\n                 b)\n    return a + b  \n",
        "def short(x):\n    x()\n",
    ]

    def functions(packages: tuple[str, ...]) -> list[Function]:
        assert packages == corpus.HELD_OUT
        return [Function("p", "s", code) for code in [*codes, codes[0]]]

    monkeypatch.setattr(corpus, "functions", functions)


def test_every_held_out_phrase_is_asked_once_with_its_tests() -> None:
    phrases = [(phrase, task.tests) for task in classics() for phrase, _ in task.phrases(held_out=True)]
    requests = held_out.phrasings()
    assert [each.tests for each in requests] == [tests for _, tests in phrases]
    assert len(requests) > 400


def test_every_phrasing_is_one_that_training_draws_again_rather_than_show() -> None:
    assert {normalize(each.text) for each in held_out.phrasings()} <= held_out_requests()
    assert "write a quicksort" not in held_out_requests()


def test_a_seed_asks_in_the_same_words() -> None:
    assert held_out.phrasings(3) == held_out.phrasings(3)
    assert held_out.phrasings(3) != held_out.phrasings(4)


def test_those_of_some_tasks_are_among_those_of_all() -> None:
    found = held_out.phrasings(tasks=programs())
    assert 10 <= len(found) < len(held_out.phrasings())
    assert {each.text for each in found} <= {each.text for each in held_out.phrasings()}
    assert {each.tests for each in found} <= {task.tests for task in programs()}


def test_compositions_are_held_out_ones_and_a_few_are_the_first_of_many() -> None:
    many = held_out.compositions(12)
    assert held_out.compositions(5) == many[:5]
    assert len(set(many)) == 12
    assert held_out.compositions(5, seed=1) != many[:5]


def test_drawn_compositions_are_held_out_by_their_key() -> None:
    found = held_out.drawn(random.Random(2))
    keys = [next(found).key for _ in range(8)]
    assert all(map(is_held_out, keys))
    assert len(set(keys)) == 8


def test_bodies_are_those_of_held_out_compositions_in_other_names_and_pass_their_tests() -> None:
    compositions, holes = held_out.compositions(6), held_out.bodies(6)
    for request, hole in zip(compositions, holes, strict=True):
        code = hole.before + hole.text + hole.after
        assert run_tests(code, hole.tests).ok, code
        assert request.tests == hole.tests
        assert f'"""{sentence(request.text)}"""' in hole.before
        assert hole.before.endswith("\n    ")
    assert holes[:2] == held_out.bodies(2)


def test_known_lines_are_renamed_and_their_code_still_passes_its_tests() -> None:
    holes = held_out.known_lines(20)
    shown = {code for task in classics() for code in task.solutions}
    renamed = [hole for hole in holes if hole.before + hole.text + hole.after not in shown]
    assert len(renamed) > 15
    for hole in holes[:5]:
        assert run_tests(hole.before + hole.text + hole.after, hole.tests).ok
        assert "\n" not in hole.text
    assert holes[:3] == held_out.known_lines(3)


@pytest.mark.usefixtures("package")
def test_a_line_is_one_statement_of_the_body_without_its_indentation() -> None:
    lines = held_out.lines(10)
    assert {line.text for line in lines} <= {"result = number * 2", "return result", "return a + b"}
    assert len(lines) == 2, "one a function, none of what is too short, none twice"
    for line in lines:
        ast.parse(line.before + line.text + line.after)
        assert line.before.endswith("    ")
        assert line.after.startswith((" ", "\n"))


@pytest.mark.usefixtures("package")
def test_fewer_lines_can_be_asked_for() -> None:
    assert len(held_out.lines(1)) == 1


def test_without_the_packages_there_are_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "functions", lambda packages: [])
    assert held_out.lines(3) == []
