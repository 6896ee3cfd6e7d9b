"""The statements around errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from diffucli.syntax.faults import MOST, faults
from diffucli.syntax.languages import Language, by_name

PYTHON = by_name("python")
PROGRAMS = Path(__file__).parents[1] / "data" / "programs"


def found(text: str, language: str = "python") -> list[str]:
    return [text[start:stop] for _, (start, stop) in faults(text, by_name(language))]


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("a = 1\nb = )\nc = 2\n", "b = )"),
        ("a = 1; b = = 2  # c\n", "a = 1; b = = 2  # c"),
        ("def add(a, b:\n    return a + b\n", "def add(a, b:"),
        ("def f(x)\n    return x\n", "def f(x)"),
        ("def f(items):\n    return items[0\n", "return items[0"),
        ("x = [\n  1\n  2,\n]\n", "x = [\n  1\n  2,\n]"),
        ("x = 'abc\ny = 1\n", "x = 'abc"),
        ("x = 1\n    y = 2\n    z = 3\nw\n", "x = 1\n    y = 2\n    z = 3"),
        ("    x = 1\ny = 2\n", "    x = 1"),
        ("def f(x):\nreturn x\ny = 1\n", "def f(x):\nreturn x"),
        ("def f(x):\n", "def f(x):"),
        ("def f():\n\n\nx = 1\n", "def f():"),
        ("def f():\ndef g():\n    pass\n", "def f():"),
        ("def f():\n    if x:\n    y\nz\n", "if x:\n    y"),
        (
            "class A:\n    def f():\n        x = 1\n       return x\n\n    y = 1\n",
            "def f():\n        x = 1\n       return x",
        ),
        ("if x:\n\ta\n        b\n", "if x:\n\ta\n        b"),
        ("def f():\n    try:\n        a()\n    b = 1\n", "try:\n        a()"),
        ("return 1\n", "return 1"),
    ],
)
def test_an_error_of_python_lies_in_the_statement_that_a_reader_would_change(text: str, covered: str) -> None:
    assert found(text) == [covered]


def test_errors_behind_the_first_are_found_too() -> None:
    text = "def add(a, b:\n    return a + b\n\ndef g(x)\n    return items[0\n\ntry:\n    a b\nexcept E:\n    c\n"
    assert sorted(found(text)) == ["a b", "def add(a, b:", "def g(x)", "return items[0"]
    assert len(found("x = )\n" * (MOST + 5))) == MOST


@pytest.mark.parametrize(
    "text", ["x = (\n", "class\n", "(\n)\n)\n", "\n(", "x y", "if x:\n\n# c\n", "\\", "x = (\\\n)("]
)
def test_no_statement_is_reported_twice(text: str) -> None:
    spans = sorted(span for _, span in faults(text, PYTHON))
    assert spans
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize(
    ("language", "text", "covered"),
    [
        ("js", "let a = ;\nlet b = 1;\nlet c = );\n", ["let a = ;", "let c = );"]),
        ("js", "function f(a, b {\n  return a;\n}\nlet x = 1;\n", ["function f(a, b {"]),
        ("js", "const o = {\n  a: 1,\n  b: ,\n};\n", ["b: ,"]),
        ("js", "let x = f(a,\n  b,\n  (c);\nlet y;\n", ["let x = f(a,\n  b,\n  (c);"]),
        ("js", "if (a &&\n    ) {\n  b();\n}\n", ["if (a &&\n    )"]),
        ("rust", "fn f() {\n    let x = g(1,\n        2;\n    h();\n}\n", ["let x = g(1,\n        2;"]),
        ("c", "int f(void) {\n  int x = (1;\n  return x;\n}\n", ["int x = (1;"]),
        ("java", "class A {\n  int f() {\n    return 1\n  }\n}\n", ["return 1"]),
        ("go", "package p\nfunc f() {\n\tx := ???\n\ty()\n}\n", ["x := ???"]),
    ],
)
def test_elsewhere_the_grammar_tells_the_statement(language: str, text: str, covered: list[str]) -> None:
    assert found(text, language) == covered


def test_without_a_grammar_or_an_error_there_is_none() -> None:
    assert faults("(", Language("absent", (), ("tree_sitter_absent", "language"))) == []
    assert found("x = 1\n") == []


def test_in_a_part_of_a_function_lines_count_from_its_own_first() -> None:
    text = "        if x:\n        y\n    z = )\n"
    spans = sorted(span for _, span in faults(text, PYTHON, fragment=True))
    assert [text[start:stop] for start, stop in spans] == ["if x:\n        y", "z = )"]


@pytest.mark.parametrize("path", sorted(PROGRAMS.iterdir()), ids=lambda path: path.stem)
def test_every_deleted_bracket_is_detected_and_most_are_located(path: Path) -> None:
    """Mostly the statement is the one that lacks the bracket, though a parser may tell the error further down."""
    language, text = replace(by_name(path.stem), tools=False), path.read_text()
    assert not faults(text, language)
    brackets = [at for at, character in enumerate(text) if character in "()[]{}"]
    located = 0
    for at in brackets:
        broken = text[:at] + text[at + 1 :]
        spans = [span for _, span in faults(broken, language)]
        assert spans, f"no error without the bracket at {at}"
        line = broken.count("\n", 0, at)
        located += any(broken.count("\n", 0, start) <= line <= broken.count("\n", 0, stop) for start, stop in spans)
    assert located / len(brackets) > 0.6


def test_errors_whose_statements_overlap_are_one():
    """The second one is an indentation, which is decided by the lines above it: by the first statement too."""
    broken = "x = 1\ndef add(a, b:\n    return a + b\n  def double(x):\n    return 2 * x\n"
    ((first, (start, stop)),) = faults(broken, PYTHON)
    assert first.message == "'(' was never closed"
    assert broken[start:stop] == broken.partition("\n")[2].rstrip()


def test_what_stands_apart_from_them_is_one_of_its_own():
    broken = "def add(a, b:\n    return a + b\n  def double(x):\n    return 2 * x\n\n\ny = )\n"
    assert found(broken)[1:] == ["y = )"]
