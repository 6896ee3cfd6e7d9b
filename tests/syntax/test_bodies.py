"""What a new body replaces."""

from __future__ import annotations

import pytest

from diffucli.syntax.languages import by_name
from diffucli.syntax.symbols import symbols


def body(text: str, language: str = "python") -> tuple[str, str]:
    """The body of the first definition, and what stands above it from its first statement on."""
    found = symbols(text, by_name(language))[0].body
    assert found is not None
    return text[found.first : found.start], text[found.start : found.stop]


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("def f(): return 1\n", "return 1"),
        ("def f():  # why\n    return 1\n", "return 1"),
        (
            "def f(\n    a: int,\n) -> int:\n    # so\n    return a\n    # done\n\n\nx = 1\n",
            "# so\n    return a\n    # done",
        ),
        ("class A:\n\n    @d\n    def g(self): ...\n", "@d\n    def g(self): ..."),
        ("def f(): 'doc'; return 1\n", "'doc'; return 1"),
        ("def f():\n    f'{x}'\n    return 1\n", "f'{x}'\n    return 1"),
        ("def f():\n    'a' 'b'.join(x)\n", "'a' 'b'.join(x)"),
    ],
)
def test_a_body_of_python_has_its_comments(text: str, covered: str) -> None:
    assert body(text)[1] == covered


@pytest.mark.parametrize(
    ("docstring", "rest"),
    [
        ('"""Do."""', "return 1"),
        ('"""Do.\n        \n        """  # noqa', "# so\n    return 1"),
        ("r'do'", "return 1\n\n    # done"),
        ("'do'  # it", ""),
        ('"""Do."""', ""),
    ],
)
def test_a_docstring_is_not_of_the_body(docstring: str, rest: str) -> None:
    kept, covered = body(f"def f():\n    # first\n    {docstring}\n\n    {rest}\n")
    assert (kept.rstrip(), covered) == (docstring, rest)


def test_the_body_of_a_wrapped_function_is_found() -> None:
    assert body("const App = memo(eq, () => { x; });\n", "js")[1] == " x; "


@pytest.mark.parametrize("between", ["", " ", "\n"])
def test_braces_with_nothing_between_are_of_the_body(between: str) -> None:
    assert body(f"fn f() {{{between}}}\n", "rust")[1] == f"{{{between}}}"


def test_fields_stand_between_braces_too() -> None:
    assert body("type S struct { a int }\n", "go")[1] == " a int "
    assert body("type I interface { F() }\n", "go")[1] == " F() "
    assert body("typedef struct S { int a; } T;\n", "c")[1] == " int a; "
    assert body("struct P(i32, i32);\n", "rust")[1] == "(i32, i32)"
