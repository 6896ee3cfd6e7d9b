"""Variables are renamed everywhere, and nothing else is."""

from __future__ import annotations

import ast
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.mini.classics import classics
from diffucli.mini.holes import cut
from diffucli.mini.renaming import ANY, KINDS, rename

if TYPE_CHECKING:
    from diffucli.mini.renaming import Parts

MEAN = ("def mean(numbers):\n    ", "return sum(numbers) / len(numbers)", "  # of numbers\n")


def whole(code: str) -> Parts:
    """All of it is seen."""
    return code, "", ""


def test_a_parameter_gets_another_name_inside_the_hole_and_around_it() -> None:
    found = {rename(random.Random(seed), MEAN) for seed in range(300)}
    assert ("def mean(xs):\n    ", "return sum(xs) / len(xs)", "  # of numbers\n") in found
    names = {before[before.index("(") + 1 : before.index(")")] for before, _, _ in found}
    assert "numbers" not in names
    assert names & set(KINDS[0])
    assert names & set(ANY) - set(KINDS[0])
    compounds = {name for name in names if "_" in name} - set(ANY)
    assert len(compounds) > 10
    assert all(name.endswith(("s", "ren", "ople", "ices")) for name in compounds), "a plural stays one"


def test_what_only_the_hole_names_keeps_its_name() -> None:
    parts = ("def f(items):\n    ", "total = sum(items)", "\n    return 1\n")
    for seed in range(20):
        before, text, _ = rename(random.Random(seed), parts)
        assert text.startswith("total = sum(")
        assert before != parts[0]


@pytest.mark.parametrize(
    "code",
    [
        "def f(other):\n    return other.text\n",
        "def text(a, b):\n    return text(a=1)\n",
        "def f(self, name):\n    self.name = name\n",
        "def f(name):\n    return f'{name}'\n",
        "def f(n):\n    def g():\n        nonlocal n\n    try:\n        g()\n    except KeyError as n:\n        pass\n",
        "x = 1\n",
    ],
)
def test_attributes_keywords_functions_and_what_is_in_strings_keep_their_names(code: str) -> None:
    for seed in range(20):
        before, after = ast.parse(code), ast.parse("".join(rename(random.Random(seed), whole(code))))
        assert _kept(before) == _kept(after)


def _kept(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    keywords = [node.arg or "" for node in nodes if isinstance(node, ast.keyword)]
    inner = [ast.dump(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Nonlocal)]
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return attributes + keywords + inner + functions + [str("self" in ast.dump(tree))]


@given(seed=st.integers(0, 10**6), number=st.integers(0, 10**6))
def test_a_hole_stays_where_it_is_and_no_two_names_become_one(seed: int, number: int) -> None:
    code = classics()[number % len(classics())].solutions[0]
    start, stop = cut(random.Random(seed), code)
    parts = code[:start], code[start:stop], code[stop:]
    renamed = rename(random.Random(seed), parts)
    assert [len(part.split()) for part in renamed] == [len(part.split()) for part in parts]
    assert len(_names(ast.parse("".join(renamed)))) == len(_names(ast.parse(code)))


def _names(tree: ast.AST) -> set[str]:
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return bound | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_renamed_solutions_still_pass_their_tests() -> None:
    """Every sixth task whose tests need no modules (files, say) is enough of a sample."""
    changed = 0
    for task in (task for task in classics()[::6] if "import" not in task.tests):
        for code in task.solutions:
            renamed = "".join(rename(random.Random(1), whole(code)))
            changed += renamed != code
            names: dict[str, object] = {"__name__": "candidate"}
            exec(compile(renamed, task.name, "exec"), names)
            defined = [n.name for n in ast.parse(renamed).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            names["candidate"] = names[defined[-1]]
            exec(compile(task.tests, task.name, "exec"), names)
    assert changed > 30
