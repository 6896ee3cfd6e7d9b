"""Undefined names: what new Python code uses and nothing defines, with its place in characters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.syntax import names
from diffucli.syntax.names import undefined


def found(text: str, before: str = "") -> list[str]:
    """The undefined names of a text, by their places."""
    return [text[start:stop] for start, stop, _ in sorted(undefined(before, text))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x = y\n", ["y"]),
        ("x = len(y) + z.y\n", ["y", "z"]),
        ("def f(a):\n    return a + b\n", ["b"]),
        ("def f():\n    return g()\n\n\ndef g():\n    return 1\n", []),
        ("def f():\n    x = 1\n    def g():\n        return x + w\n    return g\n", ["w"]),
        ("class A:\n    x = 1\n    def f(self):\n        return x\n", ["x"]),
        ("[i for i in range(3)]\ni\n", ["i"]),
        ("print(f'{a} {len(b)!r}')\n", ["a", "b"]),
        ("def f():\n    print(x)\n    x = 1\nx = 2\n", ["x"]),
        ("from os import *\ngetcwd()\n", []),
        ("__all__ = ['a', 'b']\na = 1\n", []),
        ("try:\n    unicode\nexcept NameError:\n    unicode = str\n", []),
        ('def f():\n    """\n    >>> g(1)\n    """\n', []),
        ("def f(x: 'Foo') -> Bar: ...\n", ["Foo", "Bar"]),
        ("if (n := 3) > m: print(n)\n", ["m"]),
        ("del q\n", ["q"]),
        ("__file__, __name__, __doc__\n", []),
    ],
)
def test_names_that_nothing_defines_are_found(text, wanted):
    assert found(text) == wanted


@pytest.mark.parametrize("text", ["x = (y\n", "\0", "(" * 5000, "x = '\ud800' + y +"])
def test_a_text_that_does_not_parse_has_no_names(text):
    assert undefined("", text) == ()


@pytest.mark.parametrize("prefix", ["\ufeff", "", "# é\n", "\ufeff# é\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "line", ["x = 'ü→𝄞' + name", "é = ñame(1)", "a = 1; s = '𝄞𝄞'; b = name", "names = [name]", "\tif 1: name"]
)
def test_places_are_in_characters_whatever_stands_before(prefix, newline, line):
    text = (
        prefix + "if 1:" * line.startswith("\t") + "\n" * line.startswith("\t") + line.replace("\tif", "    if") + "\n"
    )
    text = text.replace("\n", newline)
    wanted = "ñame" if "ñame" in line else "name"
    assert found(text) == [wanted]


def test_the_place_is_that_of_the_use_and_not_of_the_same_letters_before_it():
    text = "s = 'é name'; b = name\n"
    assert undefined("", text) == ((18, 22, "name"),)


def test_what_was_undefined_before_is_no_news():
    assert undefined("x = y\n", "x = y + y\n") == ()
    assert found("x = y + z\n", "x = y\n") == ["z"]
    assert found("x = y\n", "def broken(:\n") == ["y"], "nothing is known of a text that does not parse"


def test_a_form_feed_or_separator_is_no_line_end():
    assert found("a = '\x0c\u2028'\nb = '\x1c' + zz\n") == ["zz"]


@given(st.lists(st.sampled_from(["é", "a", "'𝄞'", "f(b)", "(c)", "[d for d in e]"]), min_size=1, max_size=5))
def test_each_place_holds_its_name(parts):
    text = "x = 0\ny = " + " + ".join(parts) + "\n"
    for start, stop, name in undefined("", text):
        assert text[start:stop] == name
    loaded = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} - {"x", "y", "d"}
    assert {name for *_, name in undefined("", text)} == loaded


def test_the_modules_of_this_package_use_no_undefined_names():
    for path in sorted(Path(names.__file__).parents[1].rglob("*.py")):
        assert undefined("", path.read_text(encoding="utf-8")) == (), path
