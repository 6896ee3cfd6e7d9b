"""Which Python a text needs. What an older interpreter judges is tested with the checks."""

from __future__ import annotations

import ast
import warnings

import pytest

from diffucli.syntax.newer import Need, need

FORMS = [
    ("x = t'{a}'\n", 14, "a t-string"),
    ("try: pass\nexcept A, B: pass\n", 14, "`except` of several types without parentheses"),
    ("class A[T = int]: pass\n", 13, "the default of a type parameter"),
    ("def f[T](x: T): pass\n", 12, "type parameters"),
    ("type A = int\n", 12, "a `type` statement"),
    ("f'{a['x']}'\n", 12, "an f-string with its own quotes or a backslash in braces"),
    ("f'{\"\\n\".join(a)}'\n", 12, "an f-string with its own quotes or a backslash in braces"),
    ("try: pass\nexcept* A: pass\n", 11, "`except*`"),
    ("a[*b]\n", 11, "unpacking in an index"),
    ("def f(*a: *T): pass\n", 11, "an unpacked type"),
    ("match x:\n    case 1: pass\n", 10, "a `match` statement"),
    ("with (a as b,): pass\n", 9, "`with` and its items in parentheses"),
    ("with (a, b as c): pass\n", 9, "`with` and its items in parentheses"),
    ("@a[0].b\ndef f(): pass\n", 9, "a decorator that is any expression"),
    ("(a := 1)\n", 8, "`:=`"),
    ("def f(a, /): pass\n", 8, "positional-only parameters"),
    ("f'{a=}'\n", 8, "an f-string with `=`"),
]
OLD = (
    "type(a).b = 1\ndef f(a: list[int]) -> dict[str, list[int]]: pass\nmatch = f'{a[\"x\"]!r:>{width}}'\n"
    "with (a) as b, c: pass\n@a.b.c(1)\nclass A: pass\nf'''{a['x']}'''\ntry: pass\nexcept (A, B): pass\n"
    "type[x] = (*a, b)\n"
)


@pytest.mark.parametrize(("text", "minor", "what"), FORMS)
def test_a_form_needs_its_version_and_no_higher_one_knows_it_as_new(text: str, minor: int, what: str):
    found = need(f"x = 1\n{text}", above=7)
    assert found == Need(minor, found.line if found else 0, what)
    assert found.line == (3 if text.startswith("try") else 2)
    assert need(text, above=minor) is None
    assert need(text, above=minor - 1) is not None


@pytest.mark.parametrize(("text", "minor"), [each[:2] for each in FORMS if each[1] <= 10 and each[0][0] != "@"])
def test_the_compiler_says_the_same_of_what_it_tells_apart(text: str, minor: int):
    with pytest.raises(SyntaxError, match="only supported in Python"):
        ast.parse(text, feature_version=(3, minor - 1))
    ast.parse(text, feature_version=(3, minor))


def test_what_looks_like_a_newer_form_and_is_none_needs_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ast.parse(OLD, feature_version=(3, 7))
    assert need(OLD, above=7) is None


def test_of_several_forms_the_one_counts_that_needs_most():
    text = "(a := 1)\nmatch a:\n    case 1:\n        match b:\n            case 2: pass\n"
    assert need(text, above=7) == Need(10, 2, "a `match` statement")
