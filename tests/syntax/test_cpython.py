"""CPython as the judge of whole texts, and of parts of functions."""

from __future__ import annotations

import pytest

from diffucli.syntax.compiler import line_starts
from diffucli.syntax.cpython import errors, is_fragment


@pytest.mark.parametrize(
    "text",
    [
        "        total = 0\n        for x in xs:\n            total += x\n        return total\n",
        "return 1\n",
        "yield x\nawait y\n",
        "    if x:\n        continue\n    break\n",
        "            x = 1\n        return x\n    y = 2\nz = 3\n",
        "        x\n    except E:\n        y\n",
        "        x\n    else:\n        y\n",
        "    except E:\n        y\n    z\n",
        "    elif x:\n        y\n",
        "\t\tx\n\treturn x\n",
        "    x = 1  # c\n# comment\n\n    '''\ntext\n'''\n    return x",
    ],
)
def test_a_part_of_a_function_parses_as_one_and_not_alone(text: str) -> None:
    assert errors(text)
    assert errors(text, fragment=True) == []
    assert is_fragment(text)


@pytest.mark.parametrize("text", ["x = 1\n", "def f():\n    return 1\n", "", "x = (\n", "if x:\n"])
def test_a_whole_text_is_no_part_and_neither_is_one_that_is_broken(text: str) -> None:
    assert not is_fragment(text)
    assert errors(text) == errors(text, fragment=True)


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("    x = 1\n    y = )\n", "    x = 1\n    y = "),
        ("        x\n    y = )\n", "        x\n    y = "),
        ("    x\n      y\n", "    x\n     "),
    ],
)
def test_the_error_of_a_part_stands_where_the_part_has_it(text: str, before: str) -> None:
    assert [start for start, _, _ in errors(text, fragment=True)] == [len(before)]


def test_the_message_of_a_part_counts_its_own_lines() -> None:
    ((_, _, message),) = errors("    x\n    if x:\n    y\n", fragment=True)
    assert message == "expected an indented block after 'if' statement on line 2"


def test_lines_start_behind_every_newline() -> None:
    assert line_starts("a\r\nb\rc\n") == [0, 3, 5, 7]
