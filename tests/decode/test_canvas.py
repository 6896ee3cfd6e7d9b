"""The canvas is the only writer of tokens, and writes in holes alone."""

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
    assert canvas.masked(Span(0, len(tokens))).tolist() == inside(holes)


def test_the_canvas_owns_its_tokens():
    given_tokens = torch.tensor([1, 2, 3])
    Canvas(given_tokens, [Span(0, 2)], mask=MASK)
    assert given_tokens.tolist() == [1, 2, 3]


@given(layouts(), st.integers(1, 12) | st.none())
def test_blocks_cover_every_position_of_the_holes_once_in_order(layout, size):
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK)
    blocks = list(canvas.blocks(size))
    assert all(0 < len(block) <= (size or len(tokens)) for block in blocks)
    assert [i for block in blocks for i in canvas.masked(block).tolist()] == inside(holes)
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
    with pytest.raises(AssertionError, match="apart"):
        Canvas(torch.zeros(5, dtype=torch.long), holes, mask=MASK)


def test_holes_may_be_given_in_any_order():
    canvas = Canvas(torch.zeros(6, dtype=torch.long), [Span(4, 5), Span(1, 2)], mask=MASK)
    assert canvas.holes == (Span(1, 2), Span(4, 5))


@given(layouts(), st.data())
def test_context_never_changes_and_is_never_written(layout, data):
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK, ends=frozenset({END}))
    for _ in range(4):
        asked = canvas.masked(Span(0, len(tokens))).tolist()
        if not asked:
            break
        where = data.draw(st.lists(st.sampled_from(asked), unique=True))
        canvas.commit(where, data.draw(st.lists(st.integers(0, 11), min_size=len(where), max_size=len(where))))
        canvas.remask(data.draw(st.lists(st.sampled_from(inside(holes)), unique=True)))
    outside = [i for i in range(len(tokens)) if i not in inside(holes)]
    assert [canvas.tokens[i] for i in outside] == [tokens[i] for i in outside]
    for position in outside:
        with pytest.raises(AssertionError, match="only masks in holes"):
            canvas.commit([position], [1])
        with pytest.raises(AssertionError, match="only holes"):
            canvas.remask([position])


@given(layouts(), st.data())
def test_what_is_asked_for_is_the_masks_before_the_first_end_of_each_hole(layout, data):
    """Whatever was committed and remasked before."""
    tokens, holes = layout
    canvas = Canvas(torch.tensor(tokens), holes, mask=MASK, ends=frozenset({END}))
    for _ in range(5):
        asked = canvas.masked(Span(0, len(tokens))).tolist()
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
        assert canvas.masked(Span(0, len(tokens))).tolist() == expected
        assert canvas.masks_left == len(expected)
        assert canvas.closed == any(now[i] == END for i in inside(holes))


def test_an_end_token_closes_its_own_hole_alone():
    canvas = Canvas(torch.zeros(9, dtype=torch.long), [Span(1, 4), Span(5, 8)], mask=MASK, ends=frozenset({END}))
    canvas.commit([2], [END])
    assert canvas.masked(Span(0, 9)).tolist() == [1, 5, 6, 7]
    assert canvas.tokens.tolist() == [0, MASK, END, MASK, 0, MASK, MASK, MASK, 0]
    assert canvas.closed


def test_a_hole_that_loses_its_end_token_is_open_again():
    canvas = Canvas(torch.zeros(4, dtype=torch.long), [Span(0, 4)], mask=MASK, ends=frozenset({END}))
    canvas.commit([1], [END])
    canvas.remask([1])
    assert canvas.masked(Span(0, 4)).tolist() == [0, 1, 2, 3]
    assert not canvas.closed


def test_a_position_is_written_once_unless_remasked():
    canvas = Canvas(torch.zeros(3, dtype=torch.long), [Span(0, 3)], mask=MASK)
    canvas.commit([1], [5])
    with pytest.raises(AssertionError, match="only masks"):
        canvas.commit([1], [6])
    canvas.remask([1])
    canvas.commit([1], [6])
    assert canvas.tokens.tolist() == [MASK, 6, MASK]


def test_a_span_is_half_open():
    assert 2 in Span(2, 4)
    assert 4 not in Span(2, 4)
    assert len(Span(2, 4)) == 2
