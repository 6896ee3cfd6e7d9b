"""Other indentations for the lines around an error."""

from __future__ import annotations

import pytest

from diffucli.syntax.indentation import MOST_WIDTHS, is_about_indentation, reindented


def results(text: str, offset: int) -> list[str]:
    return [text[: each.start] + each.text + text[each.stop :] for each in reindented(text, offset)]


@pytest.mark.parametrize(
    ("text", "fault", "right"),
    [
        ("  x = 1\n", "x", "x = 1\n"),
        ("if x:\ny = 1\n", "y", "if x:\n    y = 1\n"),
        ("if x:\n  y = 1\n   z = 2\n", "z", "if x:\n  y = 1\n  z = 2\n"),
        ("if a:\n  if x:\n  y = 1\n", "y", "if a:\n  if x:\n    y = 1\n"),
        ("if x:\n\ty = 1\n    z = 2\n", "z", "if x:\n\ty = 1\n\tz = 2\n"),
        ("if x:\n\tif y:\n\tz = 2\n", "z", "if x:\n\tif y:\n\t\tz = 2\n"),
        ("x = 1\n  if x:\n      y = 2\nz = 3\n", "if", "x = 1\nif x:\n    y = 2\nz = 3\n"),
        (
            "class A:\n     b = 1\n\n    def f(self):\n        pass\n",
            "def",
            "class A:\n    b = 1\n\n    def f(self):\n        pass\n",
        ),
    ],
)
def test_the_right_text_is_among_those_tried(text: str, fault: str, right: str) -> None:
    assert right in results(text, text.index(fault))


def test_only_blanks_change_and_not_all_widths_are_tried() -> None:
    text = "".join(f"{' ' * n}if x{n}:\n" for n in range(20)) + "y = 1\n"
    found = results(text, text.index("y"))
    assert 0 < len(found) <= 2 * 2 * MOST_WIDTHS
    assert all(each.split() == text.split() and each != text for each in found)


def test_a_text_without_statements_has_no_indentation() -> None:
    assert reindented("", 0) == []
    assert reindented("\n  # nothing\n", 3) == []


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("unexpected indent", True),
        ("expected an indented block after 'if' statement on line 1", True),
        ("unindent does not match any outer indentation level", True),
        ("'return' outside function", True),
        ("'break' outside loop", True),
        ("inconsistent use of tabs and spaces in indentation", True),
        ("invalid syntax", False),
        ("'(' was never closed", False),
    ],
)
def test_which_errors_are_about_indentation(message: str, *, about: bool) -> None:
    assert is_about_indentation(message) is about
