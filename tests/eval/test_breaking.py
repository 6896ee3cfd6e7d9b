"""A broken program has exactly the fault that its kind says, and does not compile."""

from __future__ import annotations

import difflib
import random

import pytest

from diffucli.eval.breaking import KINDS, break_program
from diffucli.syntax import languages
from diffucli.syntax.check import check

CODE = '''def pairs(values):
    """Pairs (with brackets: in text)."""
    found = {}
    for i in range(len(values)):
        if values[i] > 0:
            found[i] = "a:(b" + str(values[i])
    return found
'''
LINES = CODE.splitlines()


def broken(kind: str) -> set[str]:
    found = {break_program(random.Random(seed), CODE, kind) for seed in range(60)}
    assert None not in found
    return {text for text in found if text is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_compile_and_differs_in_one_line(kind: str) -> None:
    found = broken(kind)
    assert len(found) > 2, "the place is random"
    for text in found:
        assert not check(text, languages.by_name("python")).ok
        assert sum(one != other for one, other in zip(text.splitlines(), LINES, strict=True)) == 1


@pytest.mark.parametrize(("kind", "marks"), [("bracket deleted", "()[]{}"), ("colon dropped", ":")])
def test_one_mark_of_the_code_is_gone_and_none_of_a_text(kind: str, marks: str) -> None:
    for text in broken(kind):
        edits = [each for each in difflib.ndiff(CODE, text) if each[0] in "+-"]
        assert [(each[0], each[2] in marks) for each in edits] == [("-", True)]
        assert '"""Pairs (with brackets: in text)."""' in text
        assert '"a:(b"' in text


def test_only_the_blanks_before_a_line_change() -> None:
    for text in broken("indentation broken"):
        assert [line.strip() for line in text.splitlines()] == [line.strip() for line in LINES]


def test_a_cut_line_keeps_its_beginning() -> None:
    for text in broken("line cut"):
        pairs = zip(text.splitlines(), LINES, strict=True)
        ((cut, line),) = [(one, other) for one, other in pairs if one != other]
        assert cut.strip()
        assert line.startswith(cut)


@pytest.mark.parametrize(
    ("kind", "code"), [("bracket deleted", "x = 1\n"), ("colon dropped", "x[1:2]\n"), ("line cut", "ab\n")]
)
def test_what_cannot_be_broken_so_is_none(kind: str, code: str) -> None:
    assert break_program(random.Random(0), code, kind) is None


def test_the_same_draw_breaks_the_same_place() -> None:
    first, again = (break_program(random.Random(5), CODE, "line cut") for _ in range(2))
    assert first == again
