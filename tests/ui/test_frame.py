from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from diffucli.events import Finished, Started, Stepped
from diffucli.ui.colour import AWAITED, INK, TAKEN, WET
from diffucli.ui.frame import Frame, View

ENDS = frozenset({1})


def folded(story, events=None, **view):
    encoding = view.pop("encoding", "utf-8")
    frame = Frame(story.pieces, View(**view), encoding=encoding)
    for event in story.events() if events is None else events:
        frame.take(event)
    return frame


def plain(lines):
    return ["".join(segment.text for segment in line) for line in lines]


def code(frame, width=80, height=None):
    return plain(frame.lines(width, height))[:-1]


def foot(frame, width=120):
    return plain(frame.lines(width))[-1]


def test_masks_are_glyphs_until_they_are_written(story):
    tale = story("def", " f", "():", "\n", "  pass")
    assert code(folded(tale, tale.until(0))) == ["░░░░░"]
    assert code(folded(tale, tale.until(2))) == ["def f░░░"]
    assert code(folded(tale)) == ["def f():", "  pass"]


def test_ascii_terminals_see_underscores(story):
    tale = story("é", "x", "y")
    assert code(folded(tale, tale.until(2), encoding="ascii")) == ["\\xe9x_"]


def test_only_the_part_that_the_run_says_is_shown(story):
    tale = story("prompt", "a", "b", "c", fixed=1, shown=(1, 3))
    assert code(folded(tale, tale.until(1))) == ["a░"]
    assert code(folded(story("a", "b", shown=(0, 0)))) == [""]


def test_ends_are_one_dot_and_not_their_text(story):
    tale = story("a", "b", ends=5)
    assert code(folded(tale)) == ["ab·"]


def test_what_follows_the_end_vanishes_when_the_run_stops_there(story):
    tale = story("a", "b")
    first = Started((0, 0, 0, 0), 0, ((0, 4),), ends=ENDS)
    stopped = Stepped(1, (0, 1), (2, 1), (0.9, 0.9), (0, 4), 0, 1, 0.1)
    assert code(folded(tale, [first, stopped])) == ["a·░░"]
    assert code(folded(tale, [first, stopped, Finished((2, 1, 0, 0), "end", 1, 0.1)])) == ["a·"]
    assert code(folded(tale, [first, stopped, Finished((2, 1, 0, 0), "budget", 1, 0.1)])) == ["a·░░"]


def test_ink_dries(story):
    tale = story(*"abcdefgh")
    assert folded(tale, tale.until(6)).sheet().shades[:6] == INK * 2 + WET[::-1]
    assert folded(tale).sheet().shades == INK * 8


def test_context_stays_context_and_is_dim(story):
    tale = story("a", "b", fixed=1)
    (line, _) = folded(tale).lines(80)
    assert [(segment.text, bool(segment.style.dim)) for segment in line] == [("a", True), ("b", False)]


def test_a_remasked_token_is_marked_for_the_step_that_took_it(story):
    tale = story("a", "b", "c")
    frame = folded(tale, [*tale.until(2), Stepped(3, (2,), (4,), (0.9,), (0, 3), 1, 3, 0.3, remasked=(0,))])
    assert code(frame) == ["░bc"]
    assert frame.sheet().shades == TAKEN + WET[1] + WET[0]
    frame.take(Stepped(4, (), (), (), (0, 3), 1, 4, 0.4))
    assert frame.sheet().shades == AWAITED + WET[2] + WET[1]


def test_a_new_canvas_starts_afresh(story):
    tale = story("a", "b")
    frame = folded(tale, [*tale.events(), *tale.until(0)])
    assert code(frame) == ["░░"]
    assert "step 0 · 2 masks left" in foot(frame)


def test_markup_is_shown_as_written(story):
    assert code(folded(story("[red]", "x[/red]"))) == ["[red]x[/red]"]


def test_escape_codes_of_the_model_become_pictures(story):
    assert code(folded(story("\x1b[31m", "\x9b2J", "\x07\u202e"))) == ["␛[31m\\x9b2J␇\\u202e"]


def test_characters_split_over_tokens_are_joined(story):
    raw = "日🙂".encode()
    tale = story(raw[:1], raw[1:2], raw[2:5], raw[5:])
    assert code(folded(tale)) == ["日🙂"]
    assert code(folded(tale, tale.until(3))) == ["日�░"]


def test_the_footer_counts_text_and_not_ends(story):
    tale = story("a", "b", "c", "d", per=3, ends=2)
    assert foot(folded(tale, tale.until(2))) == "━━━━━━━━━━ step 2 · 0 masks left · 2.0 tokens/forward · 20 tok/s"


def test_the_hint_stands_on_terminals_only(story):
    frame = folded(story("a"), title="gen")
    assert plain(frame.lines(120, 10))[-1].endswith("ctrl-c stops")
    assert "ctrl-c" not in foot(frame)


@given(st.integers(2, 90), st.integers(1, 40), st.integers(0, 150))
def test_the_frame_is_within_its_size(story_of_lines, width, height, steps):
    lines = folded(story_of_lines, story_of_lines.until(steps)).lines(width, height)
    assert 1 <= len(lines) <= max(1, height - 1)
    assert all(cell_len(line) <= max(width, 4) for line in plain(lines))


def test_terminals_of_three_rows_get_the_footer_alone(story_of_lines):
    frame = folded(story_of_lines, story_of_lines.until(5))
    assert [len(frame.lines(80, height)) for height in (1, 2, 3, 4)] == [1, 1, 1, 3]


def test_the_viewport_follows_the_first_mask_and_rests_while_it_is_in_view(story_of_lines):
    frame, tops = Frame(story_of_lines.pieces, View()), []
    for event in story_of_lines.events():
        frame.take(event)
        shown = plain(frame.lines(40, 12))[:-1]
        tops.append(shown[0])
        left = isinstance(event, Stepped) and event.masks_left
        assert not left or any("░" in row for row in shown)
    moves = sum(a != b for a, b in pairwise(tops))
    assert 5 < moves < 30


def test_each_token_is_looked_up_once(story):
    tale, asked = story("a", "b", "a"), []
    frame = Frame(lambda token: asked.append(token) or tale.pieces(token), View())
    for event in tale.events():
        frame.take(event)
        frame.lines(80, 24)
    assert sorted(asked) == sorted(set(tale.tokens))


def test_a_huge_canvas_is_cut_to_the_terminal(story):
    tale = story(*(f"x{i} = {i}\n" for i in range(20_000)), fixed=19_990)
    shown = plain(folded(tale, tale.until(3)).lines(80, 24))
    assert len(shown) == 23
    assert any("░" in row for row in shown)
