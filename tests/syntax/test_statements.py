"""Statements as a reader sees them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from diffucli.syntax import statements as module
from diffucli.syntax.statements import statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def add(a, b:\n    return a + b\n", ["def add(a, b:", "return a + b"]),
        ("def add(a,\n        b:\n    x = a\n", ["def add(a,\n        b:", "x = a"]),
        ("x = {\n 'a': 1,\n 'b': 2\ny = 3\n", ["x = {\n 'a': 1,\n 'b': 2", "y = 3"]),
        ("x = {\n 'a': 1,\ny = 3\n", ["x = {\n 'a': 1,", "y = 3"]),
        ("x = [\n  1\n  2,\n]\ny\n", ["x = [\n  1\n  2,\n]", "y"]),
        ("f(\na,\nb)\nc\n", ["f(\na,\nb)", "c"]),
        ("f(a\nb = (1)\n", ["f(a", "b = (1)"]),
        ("f(a\n    b = 1\n", ["f(a", "b = 1"]),
        ("[x\n for x in y\n if x]\nz\n", ["[x\n for x in y\n if x]", "z"]),
        ("f(\n  x\n  for y in z:\n    y\n", ["f(\n  x", "for y in z:", "y"]),
        ("f('''\na\n''', 1)\r\nb", ["f('''\na\n''', 1)", "b"]),
        ('x = """ab\ny = 1\n', ['x = """ab', "y = 1"]),
        ("x = 'ab\ny = 1\n", ["x = 'ab", "y = 1"]),
        ("a = 1 + \\\n  2\nb\n", ["a = 1 + \\\n  2", "b"]),
        ("# c\n\nx = (  # (\n  # )\n  1)  # e\n", ["x = (  # (\n  # )\n  1)"]),
        ("", []),
    ],
)
def test_a_statement_ends_where_the_next_one_begins_by_its_look(text: str, expected: list[str]) -> None:
    assert [text[one.start : one.stop] for one in statements(text)] == expected


def test_a_statement_tells_its_indentation_first_word_and_open_brackets() -> None:
    one, other = statements("\tif x[(1:\n\t\ty\n")
    assert (one.line, one.start, one.indent, one.first, one.opened) == (0, 1, 8, "if", 2)
    assert (other.line, other.indent, other.first, other.opened) == (10, 16, "y", 0)


def test_correct_code_has_the_statements_of_the_parser() -> None:
    text = Path(module.__file__).read_text("utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    parsed = {starts[node.lineno - 1] for node in nodes}
    seen = [one for one in statements(text) if one.first not in {"else", "except", "finally", "@"}]
    assert {one.line for one in seen} == parsed
    assert not any(one.opened for one in seen)


@pytest.mark.parametrize("text", ["x = (\n" * 3000, "x = (\n" * 3000 + ")" * 3000, "x = (\n1,\n" * 1000 + ")\n" * 1000])
def test_each_line_is_looked_at_a_few_times_alone(monkeypatch, text):
    """Brackets that are never closed were looked for from each line to the end."""
    looked = []
    begins = module._begins
    monkeypatch.setattr(module, "_begins", lambda line: looked.append(line) or begins(line))
    assert module.statements(text)
    assert len(looked) < 5 * text.count("\n")
