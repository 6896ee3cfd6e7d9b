"""Text with a part replaced by what means nothing."""

from __future__ import annotations

import pytest

from diffucli.syntax.neutral import filler, parses_without


@pytest.mark.parametrize(
    ("text", "part", "word"),
    [
        ("x = (1\n", "(1", "_"),
        ("f(1 2, 3)\n", "1 2", "_"),
        ("a\nx = (\nb\n", "x = (", "_"),
        ("def f(x)\n    return x\n", "def f(x)", "def _():"),
        ("async def f(x)\n    await x\n", "async def f(x)", "async def _():"),
        ("class A\n    x = 1\n", "class A", "class _:"),
        ("for x in\n    break\n", "for x in", "while _:"),
        ("with x\n    y\n", "with x", "if _:"),
        ("tr:\n    a\nexcept E:\n    b\n", "tr:", "try:"),
        ("if (:\n    a\nelse:\n    b\n", "if (:", "if _:"),
        ("if x:\n    a(\nelse:\n    b\n", "if x:\n    a(", "if _: _"),
        ("try:\n    a(\nfinally:\n    b\n", "try:\n    a(", "try: _"),
        ("def f():\n    x = (\n    return x\n", "def f():\n    x = (", "def _():"),
        ("@d\ndef f(:\n", "def f(:", "def _(): _"),
    ],
)
def test_the_rest_of_a_text_parses_without_the_part(text: str, part: str, word: str) -> None:
    start = text.index(part)
    assert filler(text, start, start + len(part)) == word
    assert not parses_without(text, [], fragment=False)
    assert parses_without(text, [(start, start + len(part), "")], fragment=False)


def test_an_error_outside_of_the_parts_remains() -> None:
    text = "x = (\ny = )\n"
    assert not parses_without(text, [(0, 5, "")], fragment=False)
    assert parses_without(text, [(0, 5, ""), (6, 11, "")], fragment=False)


def test_a_new_line_is_a_statement_of_its_own() -> None:
    text = "\ufeffdef f():\n    '''Do.'''"
    assert parses_without(text, [(len(text), len(text), "\n    ")], fragment=False)


def test_a_function_may_stand_around_the_text() -> None:
    text = "    return (\n"
    assert parses_without(text, [(4, 12, "")], fragment=True)
    assert not parses_without(text, [(4, 12, "")], fragment=False)
