from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from diffucli.events import Finished, Resized, Started, Stepped, fold
from diffucli.ui.colour import CONTEXT, FRESH, MASK, REMASKED, WINDOW_MASK, WRITTEN
from diffucli.ui.frame import Frame, View

ENDS = frozenset({1})
LETTERS = "░_abcdefgh"  # token 0 is the mask


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
    assert folded(tale, tale.until(6)).sheet().shades[:6] == WRITTEN * 2 + FRESH[::-1]
    assert folded(tale).sheet().shades == WRITTEN * 8


def test_context_stays_context_and_is_dim(story):
    tale = story("a", "b", fixed=1)
    (line, _) = folded(tale).lines(80)
    assert [(segment.text, bool(segment.style.dim)) for segment in line] == [("a", True), ("b", False)]


def test_a_remasked_token_is_marked_for_the_step_that_took_it(story):
    tale = story("a", "b", "c")
    frame = folded(tale, [*tale.until(2), Stepped(3, (2,), (4,), (0.9,), (0, 3), 1, 3, 0.3, remasked=(0,))])
    assert code(frame) == ["░bc"]
    assert frame.sheet().shades == REMASKED + FRESH[1] + FRESH[0]
    frame.take(Stepped(4, (), (), (), (0, 3), 1, 4, 0.4))
    assert frame.sheet().shades == WINDOW_MASK + FRESH[2] + FRESH[1]


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


@dataclass(frozen=True)
class Cell:
    """A position as it should be shown: a token, whether it is in a hole and in the window, and when it was touched."""

    token: int
    hole: int | None = None
    in_window: bool = False
    written: int = -9
    remasked: int = -9

    def shade(self, step):
        if self.hole is None:
            return CONTEXT
        if self.token:
            return (WRITTEN if step - self.written >= len(FRESH) else FRESH[step - self.written]) if step else WRITTEN
        return REMASKED if step and step == self.remasked else WINDOW_MASK if self.in_window else MASK


@st.composite
def edited(draw):
    """Events of one to three canvases with commits, remasks and changes of length, and the cells that they leave."""
    events, cells, step = [], [], 0
    for _ in range(draw(st.integers(1, 3))):
        sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))  # context, hole, context, …
        cells = [
            Cell(2 * (odd % 2 == 0), odd if odd % 2 else None) for odd, size in enumerate(sizes) for _ in range(size)
        ]
        events.append(Started(tuple(cell.token for cell in cells), 0, holes(cells)))
        step = 0
        for _ in range(draw(st.integers(0, 6)) if holes(cells) else 0):
            resizes = draw(st.booleans())
            step += not resizes
            events.append(resize(draw, cells) if resizes else commit(draw, cells, step))
        if draw(st.booleans()):
            events.append(Finished(tuple(cell.token for cell in cells), "complete", step, step / 10))
            cells, step = [replace(cell, in_window=False) for cell in cells], 0
    return events, [(LETTERS[cell.token], cell.shade(step)) for cell in cells]


def holes(cells):
    names = [cell.hole for cell in cells]
    return tuple(
        (names.index(name), names.index(name) + names.count(name)) for name in sorted({name for name in names if name})
    )


def masks(cells):
    return sum(cell.hole is not None and not cell.token for cell in cells)


def commit(draw, cells, step):
    window = draw(st.sampled_from(holes(cells)))
    free = [at for at, cell in enumerate(cells) if cell.hole is not None]
    chosen = draw(st.lists(st.sampled_from(free), unique=True))
    remasked = tuple(at for at in chosen if cells[at].token)
    committed = tuple(at for at in chosen if not cells[at].token or draw(st.booleans()))
    tokens = tuple(draw(st.integers(2, 9)) for _ in committed)
    for at in remasked:
        cells[at] = replace(cells[at], token=0, remasked=step)
    for at, token in zip(committed, tokens, strict=True):
        cells[at] = replace(cells[at], token=token, written=step)
    cells[:] = [replace(cell, in_window=window[0] <= at < window[1]) for at, cell in enumerate(cells)]
    scores = (0.5,) * len(committed)
    return Stepped(step, committed, tokens, scores, window, masks(cells), step, step / 10, remasked)


def resize(draw, cells):
    """A hole grows, or it shrinks by less than all of it."""
    start, stop = draw(st.sampled_from(holes(cells)))
    delta = draw(st.integers(start - stop + 1, 3).filter(bool))
    at = draw(st.integers(start, stop + min(delta, 0)))
    cells[at : at + max(-delta, 0)] = [Cell(0, cells[start].hole, cells[start].in_window)] * delta
    return Resized(at, delta, holes(cells), masks(cells))


@given(edited())
def test_whatever_is_edited_the_frame_shows_what_the_events_fold_to_with_its_marks(run):
    events, cells = run
    frame = Frame(lambda token: LETTERS[token].encode(), View())
    for event in events:
        frame.take(event)
        assert frame.lines(3, 9)
    sheet = frame.sheet()
    assert sheet.text == "".join(LETTERS[token] for token in fold(events))
    assert list(zip(sheet.text, sheet.shades, strict=True)) == cells


@given(edited(), st.integers(1, 6))
def test_the_footer_never_says_more_than_all_or_less_than_nothing(run, width):
    frame = Frame(lambda token: LETTERS[token].encode(), View())
    for event in run[0]:
        frame.take(event)
        bar = foot(frame).split(" ")[0]
        assert len(bar) == 10
        if isinstance(event, Stepped | Resized):
            assert f"{event.masks_left} mask" in foot(frame)
            assert set(bar) == {"━"} or event.masks_left


@given(edited(), st.integers(1, 7), st.integers(4, 9))
def test_drawing_again_draws_the_same(run, width, height):
    frame = Frame(lambda token: (LETTERS[token] * 3).encode(), View())
    for event in run[0]:
        frame.take(event)
        assert frame.lines(width, height) == frame.lines(width, height)


def text_frame(*events):
    """A frame of the alphabet: token 0 is the mask, 1 ends a text, 2 is a newline, 3 is "a", 4 "b", …"""
    frame = Frame(lambda token: b"\n" if token == 2 else bytes([94 + token]), View())
    for event in events:
        frame.take(event)
    return frame


def step(number, positions=(), tokens=(), *, window, left, remasked=(), nfe=None):
    scores = (0.9,) * len(positions)
    spent = number if nfe is None else nfe
    return Stepped(number, positions, tokens, scores, window, left, spent, number / 10, remasked)


ROWS = (3, 2) * 30  # "a" and a newline


def test_the_view_rests_while_a_hole_above_it_grows_and_shrinks():
    """A hole of 4 in row 1, thirty rows, a hole of 4 that is written."""
    first = Started((0,) * 4 + ROWS + (0,) * 4 + ROWS, 0, ((0, 4), (64, 68)))
    frame = text_frame(first, step(1, (66,), (4,), window=(64, 68), left=7))
    before = code(frame, 20, 10)
    assert "░░b░a" in before
    frame.take(Resized(4, 50, ((0, 54), (114, 118)), 57))
    assert code(frame, 20, 10) == before
    frame.take(step(2, (0, 1, 2), (2, 2, 2), window=(114, 118), left=54))
    assert code(frame, 20, 10) == before
    frame.take(Resized(3, -51, ((0, 3), (63, 67)), 3))
    assert code(frame, 20, 10) == before
    frame.take(step(3, window=(0, 3), left=0))
    assert code(frame, 20, 10) == before, "nothing is to be seen elsewhere"


def test_the_view_rests_though_a_token_spans_rows():
    """Tokens of two rows and a half: the first row shown begins inside one."""
    frame = Frame(lambda token: b"ab\ncd\ne" if token else b"", View())
    frame.take(Started((2,) * 20 + (0,) * 2, 0, ((20, 22),)))
    frame.take(step(1, window=(20, 22), left=2))
    shown = code(frame, 20, 9)
    assert shown[-1] == "e░░"
    for number in range(2, 9):
        frame.take(step(number, window=(20, 22), left=2))
        assert code(frame, 20, 9) == shown


def test_masks_inserted_where_the_view_begins_are_seen():
    frame = text_frame(Started((3, 2, 3), 0, ((0, 3),)))
    assert code(frame, 20, 4) == ["a", "a"]
    frame.take(Resized(0, 1, ((0, 4),), 1))
    assert code(frame, 20, 4) == ["░a", "a"]


def test_what_is_shown_grows_with_the_holes_in_it_and_moves_with_those_before_it():
    first = Started((3, 0, 3, 4, 0, 5, 6), 0, ((1, 2), (4, 5)), shown=(3, 6))
    frame = text_frame(first)
    assert code(frame) == ["b░c"]
    frame.take(Resized(1, 2, ((1, 4), (6, 7)), 4))
    assert code(frame) == ["b░c"]
    frame.take(Resized(6, 2, ((1, 4), (6, 9)), 6))
    assert code(frame) == ["b░░░c"]
    frame.take(Resized(7, -2, ((1, 4), (6, 7)), 4))
    assert code(frame) == ["b░c"]


def test_a_hole_that_is_all_that_is_shown_may_grow_at_both_ends():
    frame = text_frame(Started((3, 0, 0, 4), 0, ((1, 3),), shown=(1, 3)))
    frame.take(Resized(1, 1, ((1, 4),), 3))
    frame.take(Resized(4, 1, ((1, 5),), 4))
    assert code(frame) == ["░░░░"]


def test_the_window_grows_with_its_hole():
    frame = text_frame(Started((0, 3, 0, 0), 0, ((0, 1), (2, 4))), step(1, window=(2, 4), left=3))
    frame.take(Resized(4, 1, ((0, 1), (2, 5)), 4))
    frame.take(Resized(0, 1, ((0, 2), (3, 6)), 5))
    assert frame.sheet().shades == MASK * 2 + CONTEXT + WINDOW_MASK * 3


def test_masks_outside_the_window_look_different():
    frame = text_frame(Started((0,) * 5, 0, ((0, 5),)), step(1, (1,), (3,), window=(1, 3), left=4))
    assert frame.sheet().shades == MASK + FRESH[0] + WINDOW_MASK + MASK * 2


def test_a_token_remasked_and_committed_in_one_step_is_fresh():
    frame = text_frame(Started((3, 3), 0, ((0, 2),)), step(1, (0,), (4,), window=(0, 2), left=1, remasked=(0, 1)))
    assert (code(frame), frame.sheet().shades) == (["b░"], FRESH[0] + REMASKED)


def test_before_any_event_there_is_nothing_but_the_footer():
    assert plain(text_frame().lines(80)) == ["", "━━━━━━━━━━ 0 masks left"]


def test_a_prompt_that_is_not_shown_does_not_count_when_the_view_moves():
    first = Started((*ROWS, *ROWS, 0, *ROWS), 0, ((120, 121),), shown=(60, 181))
    frame = text_frame(first, step(1, window=(120, 121), left=1))
    assert code(frame, 20, 10).index("░a") == 2
    assert code(frame, 20, 10).index("░a") == 2


def test_the_first_frame_shows_the_first_mask():
    shown = code(text_frame(Started((*ROWS, 0, *ROWS), 0, ((60, 61),))), 20, 10)
    assert shown.index("░a") == 2, "a quarter down"


def test_without_masks_in_the_window_the_last_text_is_in_view():
    first = Started((*ROWS, 0, 0, *ROWS, 0), 0, ((60, 62), (122, 123)))
    frame = text_frame(first, step(1, (60, 61), (4, 1), window=(60, 62), left=1))
    assert "b_a" in code(frame, 20, 10)  # an end token that is no end here


def test_of_several_texts_written_last_the_lowest_is_in_view():
    first = Started((0, *ROWS, 0, *ROWS), 0, ((0, 1), (61, 62)))
    for positions in ((0, 61), (61, 0)):
        frame = text_frame(first, step(1, positions, (4, 4), window=(0, 1), left=0))
        assert "ba" in code(frame, 20, 10)
        assert code(frame, 20, 10)[0] == "a"


def test_a_token_in_which_the_view_begins_may_become_a_mask():
    frame = Frame(lambda token: b"ab\ncd\ne" if token == 2 else b"x\n", View())
    frame.take(Started((2, 3, 3, 3, 0, *(3,) * 60, 0), 0, ((0, 1), (4, 5), (65, 66))))
    frame.take(step(1, window=(65, 66), left=2))
    frame.lines(20, 18)
    frame.take(step(2, window=(4, 5), left=2))
    assert code(frame, 20, 18)[:3] == ["cd", "ex", "x"], "the mask is a quarter down"
    frame.take(step(3, window=(0, 66), left=3, remasked=(0,)))
    assert code(frame, 20, 18)[:3] == ["░x", "x", "x"]


def test_end_tokens_written_last_are_not_followed():
    first = Started((0, *ROWS, 0), 0, ((0, 1), (61, 62)), ends=ENDS)
    frame = text_frame(first, step(1, (0, 61), (4, 1), window=(0, 1), left=0))
    assert code(frame, 20, 10)[0] == "ba"


def test_the_view_stays_where_it_was_when_the_run_is_finished():
    first = Started((*ROWS, 0, 0, *ROWS), 0, ((60, 62),))
    frame = text_frame(first, step(1, (60,), (4,), window=(60, 62), left=1))
    before = code(frame, 20, 10)
    frame.take(Finished((*ROWS, 4, 0, *ROWS), "budget", 1, 0.1))
    assert code(frame, 20, 10) == before


def test_a_new_canvas_is_shown_from_its_own_first_mask():
    first = Started((*ROWS, 0), 0, ((60, 61),))
    frame = text_frame(first, step(1, window=(60, 61), left=1))
    assert code(frame, 20, 10)[-1] == "░"
    frame.take(Started((3, 0, *ROWS), 0, ((1, 2),)))
    assert code(frame, 20, 10)[0] == "a░a"


def test_a_span_that_is_masked_again_in_a_second_canvas_does_not_move_the_view():
    first = Started((*ROWS, 0, *ROWS), 0, ((60, 61),))
    frame = text_frame(first, step(1, (60,), (4,), window=(60, 61), left=0))
    before = code(frame, 20, 10)
    assert "ba" in before
    frame.take(Finished((*ROWS, 4, *ROWS), "end", 1, 1))
    frame.take(Started((*ROWS, 0, *ROWS), 0, ((60, 61),)))
    assert code(frame, 20, 10) == [row.replace("b", "░") for row in before]


def test_forwards_seconds_and_tokens_add_up_over_several_canvases():
    """Two tokens in a second and a forward, then, after a new start, one in two forwards and three seconds."""
    first = Started((0, 0), 0, ((0, 2),))
    frame = text_frame(first, Stepped(1, (0, 1), (3, 4), (1, 1), (0, 2), 0, 1, 1.0), Finished((3, 4), "complete", 1, 1))
    frame.take(first)
    assert foot(frame) == "────────── step 0 · 2 masks left · 2.0 tokens/forward · 2.0 tok/s"
    frame.take(Stepped(1, (0,), (3,), (1,), (0, 2), 1, 2, 3.0))
    assert foot(frame) == "━━━━━───── step 1 · 1 mask left · 1.0 tokens/forward · 0.8 tok/s"


def test_what_a_run_finished_with_is_counted_though_no_step_told_of_it():
    first = Started((0, 0), 0, ((0, 2),))
    frame = text_frame(first, step(1, (0,), (3,), window=(0, 2), left=1), Finished((3, 0), "budget", 2, 1.0))
    assert "0.5 tokens/forward · 1.0 tok/s" in foot(frame)


def test_a_forward_shared_with_other_runs_counts_by_its_share():
    frame = text_frame(Started((0, 0), 0, ((0, 2),)), step(1, (0,), (3,), window=(0, 2), left=1, nfe=0.125))
    assert "8.0 tokens/forward" in foot(frame)


def test_the_total_grows_and_shrinks_with_the_holes():
    frame = text_frame(Started((0, 0), 0, ((0, 2),)), step(1, (0,), (3,), window=(0, 2), left=1))
    assert foot(frame).startswith("━━━━━───── step 1 · 1 mask left")
    frame.take(Resized(2, 8, ((0, 10),), 9))
    assert foot(frame).startswith("━───────── step 1 · 9 masks left")
    frame.take(Resized(2, -7, ((0, 3),), 2))
    assert foot(frame).startswith("━━━─────── step 1 · 2 masks left")
    frame.take(Resized(1, -2, ((0, 1),), 0))
    assert foot(frame).startswith("━━━━━━━━━━ step 1 · 0 masks left")


def test_text_that_was_there_at_first_can_be_remasked():
    """A repair: the bar starts anew, and what was not written by this run is not subtracted from what was."""
    frame = text_frame(Started((3, 4, 5, 6), 0, ((0, 4),)), step(1, window=(0, 4), left=4, remasked=(0, 1, 2, 3)))
    assert foot(frame) == "────────── step 1 · 4 masks left"
    frame.take(step(2, (0, 1), (3, 4), window=(0, 4), left=2))
    assert foot(frame).startswith("━━━━━───── step 2 · 2 masks left · 1.0 tokens/forward")
    frame.take(step(3, window=(0, 4), left=3, remasked=(1,)))
    assert foot(frame).startswith("━━──────── step 3 · 3 masks left · 0.3 tokens/forward")


def test_text_that_a_shrinking_hole_loses_is_not_counted():
    frame = text_frame(Started((0,) * 4, 0, ((0, 4),)), step(1, (0, 1), (3, 4), window=(0, 4), left=2))
    frame.take(Resized(1, -1, ((0, 3),), 2))
    assert "1.0 tokens/forward" in foot(frame)


@pytest.mark.parametrize("width", [1, 2, 7, 20, 79, 80, 200])
def test_every_width_is_used_to_its_last_cell(width):
    frame = text_frame(Started((3,) * 200, 0, ()))
    shown = code(frame, width)
    assert {len(row) for row in shown[:-1]} <= {width}
    assert len(shown) == -(-200 // width)
