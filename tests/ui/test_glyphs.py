import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from diffucli.ui.glyphs import ASCII, STEERING, Glyphs, combines, encodable, glyphs, harmless, visible

ENCODINGS = ["utf-8", "ascii", "cp1252", "latin-1", "cp437", "shift_jis"]


@given(st.text(st.characters()), st.sampled_from(ENCODINGS))
def test_nothing_that_steers_a_terminal_or_hides_is_left(text, encoding):
    shown = visible(text, encoding)
    hidden = [char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert set(hidden) <= {"\n", "\t"}


@given(st.text(st.characters()), st.sampled_from(ENCODINGS))
def test_what_is_shown_can_be_encoded(text, encoding):
    visible(text, encoding).encode(encoding)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), st.sampled_from(ENCODINGS))
def test_printable_ascii_stays_as_it_is(text, encoding):
    assert visible(text, encoding) == text


@given(st.text(st.characters()))
def test_showing_twice_changes_nothing_more(text):
    once = visible(text, "utf-8").replace("\r\n", "\n")
    assert visible(once, "utf-8") == once


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "␛"),
        ("\x00", "␀"),
        ("\x7f", "␡"),
        ("\r", "␍"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\u200b", "\\u200b"),
        ("\ufeff", "\\ufeff"),
        ("\u2028", "\\u2028"),
        ("\ufe0f", "\\ufe0f"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
    ],
)
def test_controls_become_notation(char, shown):
    assert visible(char, "utf-8") == shown
    assert cell_len(visible(char, "utf-8")) == len(shown)


@pytest.mark.parametrize(
    "code", [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180D, 0x180F, 0xFE00, 0xFFA0, 0xE01EF]
)
def test_letters_and_marks_that_draw_nothing_become_notation(code):
    assert visible(chr(code), "utf-8") == (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def test_ascii_terminals_get_ascii_notation():
    assert visible("\x1bé░", "ascii") == "\\x1b\\xe9\\u2591"


def test_a_carriage_return_goes_with_its_newline_but_not_alone():
    assert visible("a\r\nb\rc\td", "utf-8") == "a\nb␍c\td"


@pytest.mark.parametrize("encoding", [*ENCODINGS, "no-such-encoding"])
def test_glyphs_can_be_encoded_and_are_one_cell_each(encoding):
    signs = glyphs(encoding)
    drawn = [signs.mask, signs.end, signs.done, signs.open, signs.dot, signs.more]
    assert [cell_len(sign) for sign in drawn] == [1] * 6
    assert encodable("".join(drawn), encoding) or signs == ASCII


def test_utf8_has_shaded_masks_and_cp1252_has_not():
    assert glyphs("utf-8") == Glyphs()
    assert glyphs("cp1252") == glyphs("ascii") == ASCII


def test_a_combining_mark_is_known():
    assert combines("\u0301a")
    assert not combines("a\u0301")
    assert not combines("")


@given(st.text(st.characters()), st.sampled_from(ENCODINGS))
def test_a_harmless_text_is_only_changed_where_it_steers(text, encoding):
    shown = harmless(text, encoding)
    assert not STEERING.search(shown)
    if not STEERING.search(text):
        assert shown == text


def test_newlines_tabs_and_joiners_are_harmless():
    text = "a\r\n\tb\u200d\ufeff\n"
    assert harmless(text, "utf-8") == text
    assert harmless("\udc9b\r", "utf-8") == "\\x9b␍"
