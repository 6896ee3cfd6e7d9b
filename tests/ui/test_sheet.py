import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from diffucli.ui.colour import FRESH, WRITTEN
from diffucli.ui.sheet import Sheet, draw, row_of, rows, scroll

TEXT = st.text(st.sampled_from("ab \n\t日🙂░\u0301"), max_size=80)


def sheet(text, shade=WRITTEN):
    return Sheet(text, text, shade * len(text))


def plain(lines):
    return ["".join(segment.text for segment in line) for line in lines]


@given(TEXT, st.integers(4, 30))
def test_rows_fit_the_width_and_lose_nothing_but_newlines(text, width):
    spans = rows(text, width)
    assert "".join(text[a:b] for a, b in spans) == text.replace("\n", "")
    assert all(cell_len(row) <= width for row in plain(draw(sheet(text), spans, "text")))


@given(TEXT, st.integers(4, 30))
def test_every_character_stands_in_the_row_that_is_said(text, width):
    spans = rows(text, width)
    for index in range(len(text) + 1):
        row = row_of(spans, index)
        start, stop = spans[row]
        assert start <= index <= stop
        assert index < stop or row + 1 == len(spans) or text[index] == "\n"


def test_a_wide_character_that_does_not_fit_goes_to_the_next_row():
    assert plain(draw(sheet("日日日"), rows("日日日", 5), "text")) == ["日日", "日"]


def test_a_character_wider_than_the_row_has_a_row_of_its_own():
    assert rows("日日", 1) == [(0, 1), (1, 2)]


def test_tabs_end_at_multiples_of_four():
    text = "\ta\n12\tb"
    assert plain(draw(sheet(text), rows(text, 20), "text")) == ["    a", "12  b"]


def test_a_run_of_masks_longer_than_a_row_wraps():
    assert [b - a for a, b in rows("░" * 25, 10)] == [10, 10, 5]


def test_a_row_is_coloured_by_what_stands_above_the_viewport():
    text = '"""\n' + "def\n" * 20 + '"""'
    spans = rows(text, 20)
    (row,) = draw(sheet(text), spans[15:16], "python")
    assert [segment.style.color.name for segment in row] == ["green"]


def test_words_light_up_and_the_blanks_around_them_do_not():
    (row,) = draw(sheet("  ab  ", FRESH[0]), [(0, 6)], "text")
    assert [(segment.text, bool(segment.style and segment.style.reverse)) for segment in row] == [
        ("  ", False),
        ("ab", True),
        ("  ", False),
    ]


def test_nothing_to_draw_is_no_row():
    assert draw(sheet(""), [], "python") == []


@given(st.integers(0, 500), st.integers(0, 400), st.integers(1, 400), st.integers(1, 60))
def test_the_focus_is_in_view_and_the_viewport_on_the_sheet(top, focus, total, height):
    focus = min(focus, total - 1)
    found = scroll(top, focus, total=total, height=height)
    assert found <= focus < found + height
    assert 0 <= found <= max(0, total - height)


@pytest.mark.parametrize("focus", [10, 15, 29])
def test_the_viewport_stays_as_long_as_the_focus_is_in_it(focus):
    assert scroll(10, focus, total=100, height=20) == 10
