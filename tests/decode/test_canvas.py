"""The canvas is the only writer of tokens, and writes and resizes holes alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span

MASK, END = 12, 3


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], list[Span]]:
    """Tokens and holes: context, hole, context, hole, …; any of them may be empty, one hole has a mask at least."""
    lengths = draw(st.lists(st.integers(0, 9), min_size=2, max_size=9).filter(lambda found: sum(found[1::2])))
    edges = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    holes = [Span(a, b) for a, b in list(pairwise(edges))[1::2]]
    return draw(st.lists(st.integers(0, 11), min_size=edges[-1], max_size=edges[-1])), holes


def inside(holes: list[Span]) -> list[int]:
    return [i for hole in holes for i in range(hole.start, hole.stop)]


@given(layouts())
def test_holes_hold_masks_at_first_and_the_rest_is_as_given(layout):
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK)
    assert canvas.tokens.tolist() == [MASK if i in inside(holes) else t for i, t in enumerate(tokens)]
    assert canvas.masks_left == len(inside(holes))
    assert canvas.open_masks(Span(0, len(tokens))).tolist() == inside(holes)


def test_the_canvas_owns_its_tokens():
    given_tokens = torch.tensor([1, 2, 3])
    Canvas(given_tokens, [Span(0, 2)], mask=MASK)
    assert given_tokens.tolist() == [1, 2, 3]
    assert Canvas([1, 2, 3], [], mask=MASK).tokens.tolist() == [1, 2, 3]


@given(layouts(), st.integers(0, 40), st.integers(0, 40))
def test_a_window_shows_what_of_the_holes_lies_in_it(layout, start, stop):
    tokens, holes = layout
    canvas, window = Canvas(tokens, holes, mask=MASK), Span(start, max(start, stop))
    expected = [i for i in inside(holes) if i in window]
    assert canvas.writable(window).tolist() == expected
    canvas.commit(expected[::2], [1] * len(expected[::2]))
    assert canvas.writable(window).tolist() == expected
    assert canvas.open_masks(window).tolist() == expected[1::2]
    assert canvas.is_open(torch.tensor(expected, dtype=torch.long)).tolist() == [
        i % 2 == 1 for i in range(len(expected))
    ]


@given(layouts(), st.integers(1, 12) | st.none(), st.data())
def test_the_window_is_the_first_block_with_an_open_mask(layout, size, data):
    """Also when a mask opens again behind it."""
    tokens, holes = layout
    canvas = Canvas(tokens, holes, mask=MASK, ends=frozenset({END}))
    for _ in range(6):
        with_masks = [block for block in canvas.blocks(size) if len(canvas.open_masks(block))]
        window = canvas.window(size)
        assert window == (with_masks[0] if with_masks else None)
        assert (window is None) == (canvas.masks_left == 0)
        if window is not None:
            where = canvas.open_masks(window).tolist()
            canvas.commit(
                where, data.draw(st.lists(st.sampled_from([1, END]), min_size=len(where), max_size=len(where)))
            )
        if data.draw(st.booleans()):
            canvas.remask([data.draw(st.sampled_from(inside(holes)))])


@given(layouts(), st.integers(1, 12) | st.none())
def test_blocks_cover_every_position_of_the_holes_once_in_order(layout, size):
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK)
    blocks = list(canvas.blocks(size))
    assert all(0 < len(block) <= (size or len(tokens)) for block in blocks)
    assert [i for block in blocks for i in canvas.open_masks(block).tolist()] == inside(holes)
    assert all(one.stop <= other.start for one, other in pairwise(blocks))


def test_holes_near_each_other_share_a_window():
    canvas = Canvas(torch.zeros(20, dtype=torch.long), [Span(1, 3), Span(5, 8), Span(15, 18)], mask=MASK)
    assert list(canvas.blocks(8)) == [Span(1, 8), Span(15, 18)]
    assert list(canvas.blocks(None)) == [Span(1, 18)]


def test_a_canvas_without_masks_has_no_blocks():
    assert list(Canvas(torch.zeros(4, dtype=torch.long), [Span(2, 2)], mask=MASK).blocks(2)) == []
    assert list(Canvas(torch.zeros(4, dtype=torch.long), [], mask=MASK).blocks(None)) == []


@pytest.mark.parametrize("holes", [[Span(0, 3), Span(2, 4)], [Span(2, 6)], [Span(-1, 2)], [Span(3, 2)]])
def test_holes_must_lie_apart_and_inside(holes):
    with pytest.raises(AssertionError, match="do not overlap"):
        Canvas(torch.zeros(5, dtype=torch.long), holes, mask=MASK)


def test_holes_may_be_given_in_any_order():
    canvas = Canvas(torch.zeros(6, dtype=torch.long), [Span(4, 5), Span(1, 2)], mask=MASK)
    assert canvas.holes == (Span(1, 2), Span(4, 5))


@given(layouts(), st.data())
def test_context_never_changes_and_is_never_written(layout, data):
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK, ends=frozenset({END}))
    for _ in range(4):
        asked = canvas.open_masks(Span(0, len(tokens))).tolist()
        if not asked:
            break
        where = data.draw(st.lists(st.sampled_from(asked), unique=True))
        canvas.commit(where, data.draw(st.lists(st.integers(0, 11), min_size=len(where), max_size=len(where))))
        canvas.remask(data.draw(st.lists(st.sampled_from(inside(holes)), unique=True)))
    outside = [i for i in range(len(tokens)) if i not in inside(holes)]
    assert [canvas.tokens[i] for i in outside] == [tokens[i] for i in outside]
    for position in outside:
        with pytest.raises(AssertionError, match="only open masks"):
            canvas.commit([position], [1])
        with pytest.raises(AssertionError, match="only holes"):
            canvas.remask([position])


@given(layouts(), st.data())
def test_what_is_asked_for_is_the_masks_before_the_first_end_of_each_hole(layout, data):
    """Whatever was committed and remasked before."""
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK, ends=frozenset({END}))
    for _ in range(5):
        asked = canvas.open_masks(Span(0, len(tokens))).tolist()
        where = data.draw(st.lists(st.sampled_from(asked), unique=True)) if asked else []
        canvas.commit(where, [data.draw(st.sampled_from([1, END])) for _ in where])
        if data.draw(st.booleans()):
            canvas.remask(data.draw(st.lists(st.sampled_from(inside(holes)), unique=True)))
        now = canvas.tokens.tolist()
        expected = []
        for hole in holes:
            text = now[hole.start : hole.stop]
            head = text[: text.index(END)] if END in text else text
            expected += [hole.start + i for i, token in enumerate(head) if token == MASK]
        assert canvas.open_masks(Span(0, len(tokens))).tolist() == expected
        assert canvas.masks_left == len(expected)
        assert canvas.closed == any(now[i] == END for i in inside(holes))


def test_an_end_token_closes_its_own_hole_alone():
    canvas = Canvas(torch.zeros(9, dtype=torch.long), [Span(1, 4), Span(5, 8)], mask=MASK, ends=frozenset({END}))
    canvas.commit([2], [END])
    assert canvas.open_masks(Span(0, 9)).tolist() == [1, 5, 6, 7]
    assert canvas.tokens.tolist() == [0, MASK, END, MASK, 0, MASK, MASK, MASK, 0]
    assert canvas.closed


def test_a_hole_that_loses_its_end_token_is_open_again():
    canvas = Canvas(torch.zeros(4, dtype=torch.long), [Span(0, 4)], mask=MASK, ends=frozenset({END}))
    canvas.commit([1], [END])
    canvas.remask([1])
    assert canvas.open_masks(Span(0, 4)).tolist() == [0, 1, 2, 3]
    assert not canvas.closed


def test_a_position_is_written_once_unless_remasked():
    canvas = Canvas(torch.zeros(3, dtype=torch.long), [Span(0, 3)], mask=MASK)
    canvas.commit([1], [5])
    with pytest.raises(AssertionError, match="only open masks"):
        canvas.commit([1], [6])
    canvas.remask([1])
    canvas.commit([1], [6])
    assert canvas.tokens.tolist() == [MASK, 6, MASK]


def test_a_mask_that_is_written_is_still_one():
    """As in the published loops, which ask for whatever is a mask."""
    canvas = Canvas(torch.zeros(3, dtype=torch.long), [Span(0, 3)], mask=MASK, ends=frozenset({END}))
    canvas.commit([0, 1], [MASK, 5])
    assert canvas.open_masks(Span(0, 3)).tolist() == [0, 2]
    canvas.commit([0], [6])
    assert canvas.tokens.tolist() == [6, 5, MASK]


class Cells:
    """The canvas as lists, walked through cell by cell: context, hole, context, hole, …, context."""

    def __init__(self, tokens: list[int], holes: list[Span]) -> None:
        edges = [0, *(edge for hole in holes for edge in (hole.start, hole.stop)), len(tokens)]
        self.parts = [tokens[a:b] for a, b in pairwise(edges)]
        for i in range(1, len(self.parts), 2):
            self.parts[i] = [MASK] * len(self.parts[i])

    @property
    def tokens(self) -> list[int]:
        return [token for part in self.parts for token in part]

    @property
    def holes(self) -> list[tuple[int, int]]:
        starts = [sum(map(len, self.parts[:i])) for i in range(len(self.parts))]
        return [(starts[i], starts[i] + len(self.parts[i])) for i in range(1, len(self.parts), 2)]

    @property
    def context(self) -> list[list[int]]:
        return self.parts[::2]

    @property
    def open(self) -> list[int]:
        found = []
        for i, (start, _) in enumerate(self.holes):
            for offset, token in enumerate(self.parts[2 * i + 1]):
                if token == END:
                    break
                if token == MASK:
                    found.append(start + offset)
        return found

    def write(self, position: int, token: int) -> None:
        for part in self.parts:
            if position < len(part):
                part[position] = token
                return
            position -= len(part)

    def insert(self, position: int, count: int) -> None:
        holding = [i for i, (a, b) in enumerate(self.holes) if a <= position < b]
        ending = [i for i, (a, b) in enumerate(self.holes) if a <= position <= b]
        hole = (holding or ending)[0]
        offset = position - self.holes[hole][0]
        self.parts[2 * hole + 1][offset:offset] = [MASK] * count

    def delete(self, position: int, count: int) -> None:
        hole = next(i for i, (a, b) in enumerate(self.holes) if a <= position < b)
        offset = position - self.holes[hole][0]
        del self.parts[2 * hole + 1][offset : offset + count]


@given(layouts(), st.data())
def test_any_sequence_of_edits_leaves_what_the_same_edits_of_lists_leave(layout, data):
    tokens, holes = layout
    canvas, cells = Canvas(tokens, holes, mask=MASK, ends=frozenset({END})), Cells(tokens, holes)
    context = [list(part) for part in cells.context]
    for _ in range(data.draw(st.integers(1, 12))):
        kind = data.draw(st.sampled_from(["commit", "remask", "insert", "delete"]))
        written = [i for a, b in cells.holes for i in range(a, b)]
        if kind == "commit" and cells.open:
            where = data.draw(st.lists(st.sampled_from(cells.open), unique=True))
            ids = data.draw(st.lists(st.integers(0, MASK), min_size=len(where), max_size=len(where)))
            canvas.commit(where, ids)
            for position, token in zip(where, ids, strict=True):
                cells.write(position, token)
        if kind == "remask" and written:
            where = data.draw(st.lists(st.sampled_from(written), unique=True))
            canvas.remask(where)
            for position in where:
                cells.write(position, MASK)
        if kind == "insert":
            a, b = data.draw(st.sampled_from(cells.holes))
            position, count = data.draw(st.integers(a, b)), data.draw(st.integers(1, 3))
            canvas.insert(position, count)
            cells.insert(position, count)
        if kind == "delete" and written:
            position = data.draw(st.sampled_from(written))
            room = next(b - position for a, b in cells.holes if a <= position < b)
            count = data.draw(st.integers(1, room))
            canvas.delete(position, count)
            cells.delete(position, count)
        assert canvas.tokens.tolist() == cells.tokens
        assert len(canvas) == len(cells.tokens)
        assert list(canvas.spans) == cells.holes == [(hole.start, hole.stop) for hole in canvas.holes]
        assert canvas.open_masks(Span(0, len(canvas))).tolist() == cells.open
        assert canvas.writable(Span(0, len(canvas))).tolist() == [i for a, b in cells.holes for i in range(a, b)]
        assert canvas.masks_left == len(cells.open)
        assert canvas.closed == any(END in part for part in cells.parts[1::2])
        assert cells.context == context, "the context is as it was"


def test_a_hole_that_grows_or_shrinks_moves_the_holes_behind_it():
    canvas = Canvas(range(8), [Span(1, 3), Span(5, 7)], mask=MASK)
    canvas.insert(2, 2)
    assert canvas.tokens.tolist() == [0, MASK, MASK, MASK, MASK, 3, 4, MASK, MASK, 7]
    assert canvas.spans == ((1, 5), (7, 9))
    canvas.delete(1, 4)
    assert canvas.tokens.tolist() == [0, 3, 4, MASK, MASK, 7]
    assert canvas.spans == ((1, 1), (3, 5))
    canvas.insert(1)
    assert canvas.tokens.tolist() == [0, MASK, 3, 4, MASK, MASK, 7], "a hole of no length may grow again"


def test_masks_at_an_edge_go_into_the_hole_that_holds_it_or_else_the_one_that_ends_there():
    canvas = Canvas(range(9), [Span(1, 3), Span(3, 5)], mask=MASK)
    canvas.insert(3)
    assert canvas.spans == ((1, 3), (3, 6))
    canvas.insert(6)
    assert canvas.spans == ((1, 3), (3, 7))


@pytest.mark.parametrize(("start", "count"), [(0, 1), (4, 1), (2, 2), (2, 5)])
def test_context_is_not_deleted(start, count):
    canvas = Canvas(range(8), [Span(1, 3), Span(5, 7)], mask=MASK)
    with pytest.raises(AssertionError, match="only holes"):
        canvas.delete(start, count)


@pytest.mark.parametrize("position", [0, 4, 8])
def test_context_does_not_grow(position):
    canvas = Canvas(range(8), [Span(1, 3), Span(5, 7)], mask=MASK)
    with pytest.raises(AssertionError, match="only holes"):
        canvas.insert(position)


def test_an_edit_of_nothing_changes_nothing():
    canvas = Canvas(range(4), [Span(1, 3)], mask=MASK)
    canvas.commit([], [])
    canvas.remask([])
    assert canvas.tokens.tolist() == [0, MASK, MASK, 3]
    for edit in (canvas.insert, canvas.delete):
        with pytest.raises(AssertionError):
            edit(1, 0)


def test_a_span_is_half_open():
    assert 2 in Span(2, 4)
    assert 4 not in Span(2, 4)
    assert len(Span(2, 4)) == 2


@given(layouts())
def test_written_holes_keep_their_tokens_and_only_masks_among_them_are_open(layout):
    tokens, holes = layout
    tokens = [MASK if token == 11 else token for token in tokens]
    canvas = Canvas(tokens, holes, mask=MASK, written=True)
    assert canvas.tokens.tolist() == tokens
    assert canvas.open_masks(Span(0, len(tokens))).tolist() == [i for i in inside(holes) if tokens[i] == MASK]
    canvas.remask(inside(holes)[:1])
    assert canvas.tokens.tolist() == [MASK if i == inside(holes)[0] else t for i, t in enumerate(tokens)]


@given(start=st.integers(0, 9), length=st.integers(1, 30), size=st.integers(1, 12) | st.none(), align=st.integers(2, 5))
def test_windows_of_an_aligned_canvas_end_at_its_multiples(start, length, size, align):
    hole = Span(start, start + length)
    windows = list(Canvas([0] * hole.stop, [hole], mask=MASK, align=align).blocks(size))
    assert (windows[0].start, windows[-1].stop) == (hole.start, hole.stop)
    assert [a.stop for a in windows[:-1]] == [b.start for b in windows[1:]]
    if size is not None:
        assert all(len(window) <= size for window in windows)
        if size >= align:
            assert all(window.stop % align == 0 for window in windows[:-1])


def test_an_end_token_closes_an_aligned_hole_behind_its_block():
    canvas = Canvas([0] * 12, [Span(2, 12)], mask=MASK, ends=frozenset({9}), align=4)
    canvas.commit([5], [9])
    assert canvas.open_masks(Span(0, 12)).tolist() == [2, 3, 4, 6, 7]
    assert canvas.closed
    canvas.commit([6, 7, 4, 2, 3], [1, 9, 1, 1, 1])
    assert canvas.masks_left == 0
    canvas.remask([5])
    assert canvas.open_masks(Span(0, 12)).tolist() == [5], "the end behind it is in the same block"
