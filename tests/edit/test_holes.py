"""Holes in a text, and what is put into them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.edit import holes
from diffucli.edit.regions import Region, arrange
from diffucli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = ???", [(4, 7, None, None)]),
        ("x = ???8", [(4, 8, 8, 8)]),
        ("f(???1-40)", [(2, 9, 1, 40)]),
        ("???1024", [(0, 7, 1024, 1024)]),
        ("a???b", [(1, 4, None, None)]),
        ("??? - 3", [(0, 3, None, None)]),
        ("???8-", [(0, 4, 8, 8)]),
        ("???8-x", [(0, 4, 8, 8)]),
        ("???-5", [(0, 3, None, None)]),
        ("???8???", [(0, 4, 8, 8), (4, 7, None, None)]),
        ("????", []),
        ("??????", []),
        ("????8", []),
        ("a ?? b ? c", []),
        ("", []),
    ],
)
def test_three_question_marks_and_a_length_are_a_hole(text, found):
    assert [(hole.start, hole.stop, hole.low, hole.high) for hole in holes.find(text)] == found


def test_a_hole_is_named_as_it_is_written_with_its_line():
    assert [hole.label for hole in holes.find("???\n\n???8")] == ["??? in line 1", "???8 in line 3"]


@pytest.mark.parametrize("hole", ["???0", "???0-4", "???9-3"])
def test_a_length_that_cannot_be_is_refused(hole):
    with pytest.raises(UsageError, match=f"^{re.escape(hole)} in line 2: no such length") as refusal:
        holes.find(f"\n{hole}")
    assert refusal.value.hint == "write ???8 for eight tokens, ???1-40 for one to forty"


@pytest.mark.parametrize(
    ("text", "bounds"), [("8", (8, 8)), ("1-40", (1, 40)), ("1", (1, 1)), ("3-3", (3, 3)), ("1024", (1024, 1024))]
)
def test_a_length_is_one_number_or_two(text, bounds):
    assert holes.length(text, label="--length") == bounds


@pytest.mark.parametrize("text", ["", "x", "8x", "-8", "8-", "1-2-3", " 8", "0", "0-1", "9-3", "\u0661"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(UsageError, match=r"^--length it: no such length") as refusal:
        holes.length(text, label="--length it")
    assert refusal.value.hint == "write 8 for eight tokens, 1-40 for one to forty"


@pytest.mark.parametrize("text", ["1025", "1-1025", "99999", "9" * 5000])
def test_a_length_beyond_the_largest_hole_is_refused(text):
    with pytest.raises(UsageError, match="at most 1024 tokens") as refusal:
        holes.length(text, label=f"--length {text}")
    assert refusal.value.message == f"{f'--length {text}'[:60]}: a hole holds at most 1024 tokens"
    assert refusal.value.hint == "write a smaller number"


@pytest.mark.parametrize("hole", ["???1025", "???1-1025", "???" + "9" * 5000, "???1-" + "9" * 5000])
def test_more_than_the_largest_hole_is_refused(hole):
    with pytest.raises(UsageError, match="at most 1024 tokens") as refusal:
        holes.find(hole)
    assert len(refusal.value.message) < 120


@settings(deadline=None)
@given(st.text(), st.data())
def test_filling_changes_nothing_outside_the_regions(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), unique=True, max_size=8)))
    regions = [Region(start, stop) for start, stop in zip(cuts[::2], cuts[1::2], strict=False)]
    written = data.draw(st.lists(st.text(), min_size=len(regions), max_size=len(regions)))
    newline = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))

    rest = holes.fill(text, regions, written, newline=newline)

    done = 0
    for region, replacement in zip(regions, written, strict=True):
        outside = text[done : region.start]
        assert rest.startswith(outside)
        rest = rest.removeprefix(outside)
        inside = replacement.replace("\r\n", "\n").replace("\n", newline)
        assert rest.startswith(inside)
        rest = rest.removeprefix(inside)
        done = region.stop
    assert rest == text[done:]


@settings(deadline=None)
@given(st.text(st.sampled_from("?8-1a\n"), max_size=40))
def test_filling_the_holes_with_what_stood_there_changes_nothing(text):
    try:
        found = arrange(holes.find(text))
    except UsageError:
        return
    assert holes.fill(text, found, [text[hole.start : hole.stop] for hole in found], newline="\n") == text


def test_replacements_take_the_newline_of_the_file():
    assert (
        holes.fill("a\r\n?\r\n", [Region(3, 4, lead="\n")], ["x\ny\r\nz"], newline="\r\n") == "a\r\n\r\nx\r\ny\r\nz\r\n"
    )


def test_each_region_wants_one_replacement():
    with pytest.raises(ValueError):
        holes.fill("???", holes.find("???"), [], newline="\n")
