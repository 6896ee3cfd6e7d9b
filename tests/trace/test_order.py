"""AR-ness by its definition: worked by hand, at its ends, and on canvases that change."""

from __future__ import annotations

import math
import random

import pytest

from diffucli.events import Finished, Resized, Started, Stepped
from diffucli.trace.order import ar_ness, kendall, order_of

MASK, END = 900, 901


def written(order, *, length=None, ends=frozenset(), tokens=None):
    """A canvas of masks, written one token a step in this order."""
    length = length or len(order)
    events = [Started((MASK,) * length, MASK, ((0, length),), None, frozenset(ends))]
    for step, at in enumerate(order, 1):
        token = tokens[at] if tokens else 5
        events.append(Stepped(step, (at,), (token,), (0.5,), (0, length), length - step, step, 0.0, (), (-0.5,)))
    return events


@pytest.mark.parametrize("k", [1, 2, 4])
def test_left_to_right_is_one_and_right_to_left_is_none(k):
    there, back = order_of(written(range(10))), order_of(written(range(9, -1, -1)))
    assert (ar_ness(there, k).local, ar_ness(there, k).overall) == (1.0, 1.0)
    assert (ar_ness(back, k).local, ar_ness(back, k).overall) == (0.0, pytest.approx(k / (10 - k)))


def test_an_order_worked_by_hand():
    """0 2 1 3 4: @1 continues at 4 alone; the leftmost mask is taken at 1, 3, 4. @2: {0, 2} is not {-1, 0}, …"""
    order = order_of(written([0, 2, 1, 3, 4]))
    assert ar_ness(order, 1).local == 1 / 4
    assert ar_ness(order, 1).overall == 3 / 4
    assert ar_ness(order, 2).local == pytest.approx(1 / 3), "1 and 2 stood before 3, in whatever order"
    assert ar_ness(order, 2).overall == 1.0
    assert ar_ness(order, 5) is None


def test_a_random_order_is_near_what_chance_gives():
    draw, local, overall = random.Random(1), 0.0, 0.0
    for _ in range(200):
        positions = list(range(20))
        draw.shuffle(positions)
        found = ar_ness(order_of(written(positions)), 1)
        local, overall = local + found.local / 200, overall + found.overall / 200
    assert local == pytest.approx(1 / 20, abs=0.02)
    assert overall == pytest.approx(sum(1 / left for left in range(1, 20)) / 19, abs=0.02)


def test_tokens_of_one_step_come_by_their_scores():
    step = Stepped(1, (0, 1, 2), (5, 6, 7), (0.1, 0.9, 0.5), (0, 3), 0, 1, 0.0, (), (-1.0, -1.0, -1.0))
    order = order_of([Started((MASK,) * 3, MASK, ((0, 3),)), step])
    assert order.written() == [1, 2, 0]
    assert (order.steps[0].tokens, order.steps[0].confidence) == (3, pytest.approx(math.exp(-1)))


def test_padding_counts_or_does_not():
    order = order_of(written([3, 2, 0, 1], ends={END}, tokens=[5, 5, END, END]))
    assert order.written() == [3, 2, 0, 1]
    assert order.written(with_ends=False) == [0, 1]
    assert ar_ness(order, 1, with_ends=False).local == 1.0
    assert ar_ness(order, 1).local == pytest.approx(1 / 3)


def test_masks_that_were_never_written_count_as_masks():
    assert ar_ness(order_of(written([1, 2], length=4)), 1).overall == 0.0


def test_a_token_that_is_written_again_counts_when_it_was_written_last():
    again = Stepped(4, (), (), (), (0, 3), 1, 4, 0.0, (0,), ())
    last = Stepped(5, (0,), (6,), (0.5,), (0, 3), 0, 5, 0.0, (), (-0.5,))
    order = order_of([*written([0, 1, 2]), again, last])
    assert order.written() == [1, 2, 0]
    assert [cell.remasked for cell in order.cells] == [1, 0, 0]
    assert len(order.steps) == 3, "the step whose token is gone is not counted"


def test_positions_move_with_what_is_inserted():
    order = order_of([*written([2, 0], length=3), Resized(0, 1, ((0, 4),), 2)])
    assert order.written() == [3, 1]


def test_another_canvas_keeps_the_steps_of_what_stands_in_both():
    first = written([1, 0], tokens=[7, 8])
    second = [Started((7, 8, MASK, 9), MASK, ((2, 3),)), Stepped(1, (2,), (5,), (0.5,), (2, 3), 0, 1, 0.0, (), (-0.1,))]
    last = [Started((7, 8, 5, 9), MASK, ()), Finished((7, 8, 5, 9), "complete", 0, 0)]
    order = order_of([*first, *second, *last])
    assert [cell.step for cell in order.cells] == [2, 1, 3, 0]
    assert order.written() == [1, 0, 2]


def test_kendall_of_equal_reversed_and_chance_orders():
    assert kendall([3, 1, 2], [3, 1, 2]) == 1.0
    assert kendall([3, 1, 2], [2, 1, 3]) == -1.0
    assert kendall([0, 1, 2, 3], [1, 0, 2, 3]) == pytest.approx(4 / 6)
    assert kendall([0, 1, 9], [1, 0, 8]) == -1.0, "by what both have"
    assert math.isnan(kendall([1], [1]))
