"""A child finds the same errors, and a text for which the compiler takes too long has no verdict."""

from __future__ import annotations

import ast
import subprocess

import pytest

from diffucli.syntax import compiler
from diffucli.syntax.check import check, is_substantial
from diffucli.syntax.languages import by_name

LONG = "# ä\n" * (compiler.MAX_CHARACTERS // 4 + 1)
TEXTS = [
    "x = 1\n",
    "x = = 1\n",
    "ä = 'ö'; nonlocal ü\n",
    "def f():\n    x = (\n",
    "'\ud800'\n",
    "x = 1\0\n",
    "(" * 1000,
    "x = a" + "+a" * 9000,
    "return 1\n",
]
PYTHON = by_name("python")
CLAUSES = "try:\n    x\nfinally:\n    y\n" * 50


def nested(count: int) -> str:
    """A text whose bytecode doubles with each of `count` levels."""
    levels = (" " * i + "try: x\n" + " " * i + "finally:\n" for i in range(count))
    return "".join(levels) + " " * count + "y\n"


HIDDEN = nested(19).replace("finally", "\\\nfinally")


@pytest.fixture
def no_child(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a child was started")

    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("flags", [0, ast.PyCF_ONLY_AST])
def test_a_child_says_what_the_compiler_says_here(text, flags):
    if flags and text != "return 1\n":
        return
    assert compiler.errors(LONG + text, "a.py", flags, seconds=60) == compiler.compiled(LONG + text, "a.py", flags)


@pytest.mark.parametrize("text", [*TEXTS, LONG[: compiler.MAX_CHARACTERS], nested(compiler.MAX_FINALLY), CLAUSES])
def test_ordinary_texts_need_no_child(no_child, text):
    assert compiler.errors(text, "a.py") == compiler.compiled(text, "a.py", 0)


@pytest.mark.parametrize(
    "text",
    [
        "f(" + ", ".join(f"a{i}=1" for i in range(50_000)) + ")\n",
        nested(19),
        nested(19).replace("finally", "\\\nfinally"),
    ],
)
def test_a_text_that_takes_too_long_has_no_verdict(text):
    """The first took 23 s, the second, of 1 kB, minutes."""
    found = check(text, PYTHON, seconds=0.3)
    assert not found.checked
    assert found.parses is None
    assert found.note == "not checked: the compiler took longer than 0.3 s"


def test_a_child_that_cannot_be_started_gives_no_verdict(monkeypatch):
    monkeypatch.setattr(compiler.sys, "executable", "/nowhere/python")
    assert compiler.errors(LONG, "a.py") is None


@pytest.mark.parametrize(("text", "substantial"), [("x = 1\n", True), ("x = = 1\n", False), ("", True)])
def test_a_long_text_is_substantial_if_it_parses(text, substantial):
    assert is_substantial(LONG + text, PYTHON) is substantial
