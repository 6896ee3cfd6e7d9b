"""Parameters are renamed everywhere, and nothing else is."""

from __future__ import annotations

import ast
import random

import pytest

from diffucli.train.mini.classics import classics
from diffucli.train.mini.renaming import KINDS, rename


def test_a_parameter_gets_another_name_of_its_kind_everywhere() -> None:
    code = "def mean(numbers):\n    return sum(numbers) / len(numbers)  # of numbers\n"
    found = {rename(random.Random(seed), code) for seed in range(60)}
    assert "def mean(xs):\n    return sum(xs) / len(xs)  # of numbers\n" in found
    for text in found:
        name = text[text.index("(") + 1 : text.index(")")]
        assert name in KINDS[0]
        assert name != "numbers"


@pytest.mark.parametrize(
    "code",
    [
        "def f(other):\n    return other.text\n",
        "def text(a, b):\n    return text(a=1)\n",
        "x = 1\n",
    ],
)
def test_an_attribute_a_keyword_and_a_function_keep_their_names(code: str) -> None:
    for seed in range(20):
        before, after = ast.parse(code), ast.parse(rename(random.Random(seed), code))
        assert _kept(before) == _kept(after)


def _kept(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    keywords = [node.arg or "" for node in nodes if isinstance(node, ast.keyword)]
    return attributes + keywords + [node.name for node in nodes if isinstance(node, ast.FunctionDef)]


def test_no_two_names_become_one() -> None:
    for task in classics():
        for code in task.solutions:
            renamed = rename(random.Random(task.name), code)
            assert len(_names(ast.parse(renamed))) == len(_names(ast.parse(code)))


def _names(tree: ast.AST) -> set[str]:
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return bound | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_renamed_solutions_still_pass_their_tests() -> None:
    """Every sixth task whose tests need no modules (files, say) is enough of a sample."""
    changed = 0
    for task in (task for task in classics()[::6] if "import" not in task.tests):
        for code in task.solutions:
            renamed = rename(random.Random(1), code)
            changed += renamed != code
            names: dict[str, object] = {"__name__": "candidate"}
            exec(compile(renamed, task.name, "exec"), names)
            defined = [n.name for n in ast.parse(renamed).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            names["candidate"] = names[defined[-1]]
            exec(compile(task.tests, task.name, "exec"), names)
    assert changed > 30
