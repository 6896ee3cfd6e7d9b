"""The context of holes: as many lines on both sides as a checkpoint can take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.syntax.languages import by_name
from diffucli.tasks.context import LINES, crop_context

PYTHON = by_name("python")


def tokens(checkpoint, text: str) -> int:
    """The tokens of a text, line by line, as it is cropped."""
    return sum(len(checkpoint.tokenizer.encode(line)) for line in LINES.findall(text))


@pytest.fixture(scope="module")
def narrow(checkpoint):
    """The golden checkpoint as if it were trained on 200 tokens."""
    return replace(checkpoint, config=replace(checkpoint.config, trained_length=200))


def test_short_files_are_seen_whole_and_without_a_note(checkpoint):
    parts = ["a\n" * 5, "b\n" * 5]
    assert crop_context(checkpoint, parts, masks=40, request=None, language=PYTHON) == (parts, ())


@pytest.mark.parametrize(("above", "below"), [(200, 200), (200, 3), (3, 200), (0, 200), (200, 0)])
def test_the_lines_next_to_the_holes_stay_and_fill_the_room(narrow, above, below):
    """What one side does not need the other gets."""
    parts = ["y = 1\n" * above + "x = ", "mid", "\n" + "z = 2\n" * below]
    (head, mid, tail), (note,) = crop_context(narrow, parts, masks=40, request=None, language=PYTHON)
    assert mid == "mid"
    assert parts[0].endswith(head)
    assert parts[2].startswith(tail)
    used = 40 + tokens(narrow, head) + tokens(narrow, mid) + tokens(narrow, tail)
    assert 200 - tokens(narrow, "y = 1\n") - tokens(narrow, "z = 2\n") <= used <= 200
    first, last = above - head.count("\n"), below + 1 - tail.count("\n")
    sides = [f"the first {first}"] * (first > 0) + [f"the last {last}"] * (last > 0)
    assert note == f"{' and '.join(sides)} lines far from the regions were left out of the model's view"


def test_above_gets_two_thirds_where_both_sides_are_long(narrow):
    parts = ["y = 1\n" * 200, "y = 1\n" * 200]
    (head, tail), _ = crop_context(narrow, parts, masks=20, request=None, language=PYTHON)
    assert 1.7 < head.count("\n") / tail.count("\n") < 2.3


def test_the_lines_that_touch_the_holes_stay_whatever_their_length(narrow):
    parts = ["y = 1\n" + "x" * 3000, "z" * 3000 + "\ny = 1\n"]
    (head, tail), _ = crop_context(narrow, parts, masks=40, request=None, language=PYTHON)
    assert (head, tail) == ("x" * 3000, "z" * 3000 + "\n")


def test_the_prompt_is_reckoned_in_the_language_it_is_written_in(checkpoint):
    """A tag of more tokens leaves less room for the file."""
    parts, rust = ["y = 1\n" * 3000, "z\n"], by_name("rust")
    longer = replace(rust, name="rust " * 200)
    some, fewer = (
        crop_context(checkpoint, parts, masks=40, request="do it", language=language)[0][0]
        for language in (rust, longer)
    )
    assert len(fewer) < len(some)


@given(st.text("ab\r\n\x0c\u2028", max_size=30))
def test_lines_end_where_an_editor_ends_them_and_nothing_is_lost(text):
    assert "".join(LINES.findall(text)) == text
    assert len(LINES.findall(text)) == text.count("\n") + (not text.endswith("\n") and text != "")
