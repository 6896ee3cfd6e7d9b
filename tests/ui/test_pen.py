import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.ui.pen import Pen, standalone


def written(*runs, encoding="utf-8"):
    pen = Pen(encoding)
    for raw in runs:
        pen.write(raw, standalone(raw, encoding), "i")
    return pen.sheet()


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn", "Zl", "Zp", "M", "Lo"])), st.data())
def test_however_the_bytes_are_split_the_text_is_whole(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)))))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert written(*pieces).text == text


@given(st.lists(st.binary(max_size=5)))
def test_shades_and_code_are_as_long_as_the_text(runs):
    sheet = written(*runs)
    assert len(sheet.text) == len(sheet.shades) == len(sheet.code)


def test_an_incomplete_character_is_shown_as_such_at_the_end_and_before_a_glyph():
    pen = Pen("utf-8")
    pen.write("é".encode()[:1], None, "i")
    pen.glyph("░", "m")
    pen.write("é".encode()[1:], None, "i")
    assert pen.sheet().text == "�░�"
    assert written("日".encode()[:2]).text == "�"


def test_a_character_has_the_shade_of_the_token_that_ends_it():
    pen = Pen("utf-8")
    pen.write(b"\xc3", None, "0")
    pen.write(b"\xa9!", None, "i")
    sheet = pen.sheet()
    assert (sheet.text, sheet.shades) == ("é!", "ii")


def test_the_lexer_sees_a_blank_for_a_glyph():
    pen = Pen("utf-8")
    pen.write(b"a", "a", "i")
    pen.glyph("░", "m")
    assert pen.sheet().code == "a "


@pytest.mark.parametrize("before", [b"", b"\n", b" "])
def test_a_combining_mark_with_nothing_to_stand_on_is_written_out(before):
    assert written(before, "\u0301x".encode()).text == before.decode() + "\\u0301x"


def test_a_combining_mark_on_a_mask_is_written_out_but_on_a_letter_combines():
    pen = Pen("utf-8")
    pen.glyph("░", "m")
    pen.write("\u0301".encode(), "\u0301", "i")
    assert pen.sheet().text == "░\\u0301"
    assert written(b"e", "\u0301".encode()).text == "e\u0301"


def test_c1_controls_encoded_in_utf8_are_not_sent():
    assert written(b"\xc2", b"\x9b31m").text == "\\x9b31m"
