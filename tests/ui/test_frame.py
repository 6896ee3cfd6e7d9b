from dataclasses import dataclass, replace
from itertools import pairwise

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
