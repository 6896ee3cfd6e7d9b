"""Tokens that resize their hole: what becomes of the canvas, what is told, and where it ends."""

from __future__ import annotations

import pytest
import torch

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.resize import Resizer, Resizing
from diffucli.events import Resized

MASK, EXPAND, DELETE = 12, 7, 3
RESIZING = Resizing(EXPAND, frozenset({DELETE}), longest=12, budget=5)


def canvas_of() -> Canvas:
    """Two holes of three masks each, between tokens 0 and 1."""
    return Canvas([0, MASK, MASK, MASK, 1, MASK, MASK, MASK, 1], [Span(1, 4), Span(5, 8)], mask=MASK)


def committed(canvas: Canvas, resizer: Resizer, tokens: dict[int, int]) -> list[Resized]:
    canvas.commit(list(tokens), list(tokens.values()))
    return list(resizer.resize(list(tokens), list(tokens.values())))


def test_an_expand_token_becomes_two_masks():
    canvas = canvas_of()
    events = committed(canvas, Resizer(canvas, RESIZING), {2: EXPAND})
    assert canvas.tokens.tolist() == [0, MASK, MASK, MASK, MASK, 1, MASK, MASK, MASK, 1]
    assert events == [Resized(2, 2, ((1, 6), (7, 10)), 7), Resized(4, -1, ((1, 5), (6, 9)), 7)]


def test_the_position_of_a_delete_token_goes_away():
    canvas = canvas_of()
    events = committed(canvas, Resizer(canvas, RESIZING), {5: DELETE})
    assert canvas.tokens.tolist() == [0, MASK, MASK, MASK, 1, MASK, MASK, 1]
    assert events == [Resized(5, -1, ((1, 4), (5, 7)), 5)]


def test_several_in_one_step_go_from_right_to_left():
    canvas = canvas_of()
    committed(canvas, Resizer(canvas, RESIZING), {1: DELETE, 2: 9, 3: EXPAND, 6: DELETE})
    assert canvas.tokens.tolist() == [0, 9, MASK, MASK, 1, MASK, MASK, 1]
    assert canvas.spans == ((1, 4), (5, 7))


@pytest.mark.parametrize(("longest", "budget", "room"), [(12, 5, 3), (9, 5, 0), (8, 5, 0), (20, 5, 5), (20, 0, 0)])
def test_room_is_bounded_by_the_length_and_by_the_budget(longest, budget, room):
    assert Resizer(canvas_of(), Resizing(EXPAND, frozenset(), longest, budget)).room == room


def test_an_expansion_uses_the_budget_up_and_a_deletion_does_not():
    canvas = canvas_of()
    resizer = Resizer(canvas, Resizing(EXPAND, frozenset({DELETE}), longest=20, budget=2))
    committed(canvas, resizer, {1: EXPAND, 6: DELETE})
    assert resizer.room == 1
    committed(canvas, resizer, {1: EXPAND})
    assert resizer.room == 0


def test_expand_tokens_beyond_the_room_are_not_chosen_leftmost_first():
    resizer = Resizer(canvas_of(), Resizing(EXPAND, frozenset(), longest=20, budget=1))
    tokens = torch.tensor([EXPAND, 9, EXPAND, EXPAND])
    assert resizer.within_room(torch.tensor([1, 2, 3]), torch.tensor([1, 2, 3, 5]), tokens).tolist() == [1, 2]


def test_without_such_tokens_nothing_is_resized():
    canvas = canvas_of()
    resizer, chosen = Resizer(canvas, None), torch.tensor([0, 1])
    assert resizer.room == 0
    assert resizer.within_room(chosen, torch.tensor([1, 2]), torch.tensor([EXPAND, DELETE])) is chosen
    assert not list(resizer.barred())
    assert committed(canvas, resizer, {1: EXPAND, 2: DELETE}) == []
    assert canvas.tokens.tolist()[:4] == [0, EXPAND, DELETE, MASK]


def test_a_hole_stays_within_its_bounds_and_the_room_of_the_canvas():
    """What would lead beyond is barred at the holes that it concerns, and of several tokens of a step the first fit."""
    canvas, bounds = canvas_of(), ((2, 3), (3, 9))
    resizer = Resizer(canvas, Resizing(EXPAND, frozenset({DELETE}), longest=20, budget=5, bounds=bounds))
    assert list(resizer.barred()) == [(Span(1, 4), (EXPAND,)), (Span(5, 8), (DELETE,))]
    positions, every = torch.tensor([1, 2, 3, 5, 6, 7]), torch.arange(6)
    for token, fitting in ((DELETE, [0]), (EXPAND, [3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])):
        assert resizer.within_room(every, positions, torch.full((6,), token)).tolist() == fitting
    committed(canvas, resizer, {1: DELETE})
    assert list(resizer.barred()) == [(Span(1, 3), (DELETE,)), (Span(4, 7), (DELETE,))]
    narrow = Resizer(canvas, Resizing(EXPAND, frozenset({DELETE}), longest=len(canvas), budget=5, bounds=bounds))
    assert [ids for _, ids in narrow.barred()] == [(EXPAND, DELETE)] * 2
