"""Everyday holes: what stood in them passes, nothing in their place does, and training has none of them."""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import random
import tokenize
from collections import Counter

import pytest

from diffucli.eval import everyday
from diffucli.eval.problems import FillProblem, judge
from diffucli.mini import everyday as training
from diffucli.mini.classics import classics

HOLES = [*everyday.holes(everyday.NEW), *everyday.holes(everyday.TRAINED)]


def code(problem: FillProblem) -> str:
    return problem.before + problem.expected + problem.after


def functions(text: str) -> set[str]:
    """The functions of a program, as their syntax trees without names of their own."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {ast.dump(ast.Module(each.body, [])) for each in found if len(ast.unparse(each).splitlines()) > 2}


def test_there_are_thirty_in_two_groups() -> None:
    assert len({code(problem) for problem in HOLES}) == len(HOLES) == 30
    assert Counter(problem.group for problem in HOLES) == {everyday.NEW: 15, everyday.TRAINED: 15}
    assert all(len(code(problem).splitlines()) <= 18 for problem in HOLES)


@pytest.mark.parametrize("problem", HOLES, ids=lambda problem: problem.title.split("\n")[0])
def test_what_stood_there_passes_and_the_hole_is_needed(problem: FillProblem) -> None:
    original = judge(problem, problem.expected)
    assert (original.passed, original.parses) == (True, True)
    assert [judge(problem, text).passed for text in ("pass", "None", "")] == [False, False, False]


def test_no_function_of_them_is_trained() -> None:
    trained = {each for task in classics() for solution in task.solutions for each in functions(solution)}
    assert len(trained) > 100
    assert not [problem.title for problem in HOLES if functions(code(problem)) & trained]


def shape(text: str) -> tuple[str, ...]:
    """The tokens of a program without its names and literals; built-in names and keywords stay."""
    kinds, stay = {tokenize.STRING: "text", tokenize.NUMBER: "number"}, {*dir(builtins), *keyword.kwlist}
    found: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            found.append(token.string if token.string in stay else "name")
        elif token.type not in (tokenize.NL, tokenize.COMMENT):
            found.append(kinds.get(token.type) or token.string.strip() or tokenize.tok_name[token.type])
    return tuple(found)


def test_those_of_a_new_shape_have_no_training_template() -> None:
    """Those who wrote the templates never saw these functions, and some came out the same: they are told apart."""
    rng = random.Random(3)
    trained = {shape(training.draw(rng, template).code) for template in training.templates() for _ in range(6)}
    known = {problem.title for problem in HOLES if shape(code(problem)) in trained}
    assert known <= {problem.title for problem in HOLES if problem.group == everyday.TRAINED}
    assert len(known) > 3, "the comparison finds those that are alike"


def test_an_entry_without_a_hole_is_an_error_of_the_file() -> None:
    with pytest.raises(AssertionError, match="sum has no hole"):
        everyday._problem(name="sum", code="x = 1\n", text="1", tests="")
