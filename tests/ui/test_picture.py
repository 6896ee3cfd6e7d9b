import re
from xml.etree import ElementTree as ET

import pytest

from diffucli.ui.frame import Frame, View
from diffucli.ui.picture import CELL_WIDTH, MASK_GAP, film, picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(story):
    def draw(*texts, steps, width=40, title="diffu gen"):
        tale = story(*texts)
        frame = Frame(tale.pieces, View())
        for event in tale.until(steps):
            frame.take(event)
        return ET.fromstring(picture(frame, width=width, title=title))

    return draw


def texts(svg):
    return [(node.text, node.attrib) for node in svg.iter(f"{SVG}text")][1:]


def test_a_picture_is_xml_whatever_the_model_writes(drawn):
    svg = drawn("<a & b>", "\x00\x1b]", "\ufffe", "]]>", steps=4, title="<&\x1b>")
    assert "".join(text for text, _ in texts(svg)).startswith("<a&b>␀␛]\\ufffe]]>")
    assert svg.find(f"{SVG}title").text == "<&␛>"


def masks(svg):
    """How many dashes the lines of masks have."""
    lines = (float(path.attrib["d"].partition("h")[2]) for path in svg.iter(f"{SVG}path"))
    return sum(round((length + MASK_GAP) / CELL_WIDTH) for length in lines)


def test_every_mask_is_a_dash_of_its_own(drawn):
    assert [masks(drawn("a", "b", "c", steps=steps)) for steps in range(4)] == [3, 2, 1, 0]
    assert not any("░" in text for text, _ in texts(drawn("a", "b", steps=1)))


def test_words_stand_in_their_cells_and_wide_characters_get_two(drawn):
    found = dict(texts(drawn("  ab 日c", steps=1)))
    start = float(found["ab"]["x"])
    assert [round((float(found[text]["x"]) - start) / CELL_WIDTH) for text in ("ab", "日", "c")] == [0, 3, 5]
    assert float(found["日"]["textLength"]) == pytest.approx(2 * CELL_WIDTH, abs=0.01)


def test_nothing_is_fetched(story):
    frame = Frame(story("a").pieces, View())
    assert set(re.findall(r"https?://[^\"]*", picture(frame, width=40, title="t"))) == {SVG[1:-1]}


def test_the_same_frame_is_the_same_picture(story):
    frame = Frame(story("a").pieces, View())
    assert picture(frame, width=40, title="t") == picture(frame, width=40, title="t")


def test_the_whole_canvas_is_in_it_and_no_hint_how_to_stop(drawn):
    svg = drawn(*(f"x{i}\n" for i in range(100)), steps=100, width=100)
    shown = [text for text, _ in texts(svg)]
    assert {"x0", "x99", "step", "100"} <= set(shown)
    assert "ctrl-c" not in shown


def test_a_film_shows_each_row_at_its_time_and_the_last_ones_where_it_is_not_played(story):
    tale, shots = story("a\n", "b\n", "c\n"), []
    for steps in range(4):
        frame = Frame(tale.pieces, View())
        for event in tale.until(steps):
            frame.take(event)
        shots.append((0.5, frame.lines(40)))
    svg = ET.fromstring(film(shots, width=40, title="t"))
    for group in svg.iter(f"{SVG}g"):
        if (change := group.find(f"{SVG}animate")) is not None:
            states, times = change.attrib["values"].split(";"), [float(t) for t in change.attrib["keyTimes"].split(";")]
            assert change.attrib["dur"] == "2s"
            assert len(states) == len(times)
            assert (times[0], states[-1]) == (0.0, group.attrib["visibility"])
            assert set(times) <= {0.0, 0.25, 0.5, 0.75}
    assert not list(svg.iter(f"{SVG}script"))
    seen = "".join(text for text, node in texts(svg))
    assert {"a", "b", "c"} <= set(seen)


def test_a_film_of_one_shot_is_the_picture(story):
    frame = Frame(story("a").pieces, View())
    assert film([(1.0, frame.lines(40))], width=40, title="t") == picture(frame, width=40, title="t")
    assert "animate" not in picture(frame, width=40, title="t")
