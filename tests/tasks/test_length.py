"""The lengths of a hole that are tried, and what a checkpoint is asked about them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.tasks.length import EXACT, LADDER, PADDED, Size, end_logprob, look, score, sizes
from diffucli.tasks.prompt import Layout
from diffucli.tasks.write import HoleText, RunOutput


def told(found: list[Size]) -> tuple[list[int], list[int]]:
    """The exact and the padded sizes."""
    return [s.masks for s in found if not s.padded], [s.masks for s in found if s.padded]


def test_a_free_hole_is_tried_in_short_exact_lengths_and_with_room_where_slack_is_padded():
    assert told(sizes(0, None, None, pads=True)) == (list(EXACT), list(PADDED))
    assert told(sizes(0, None, None, pads=False)) == (list(LADDER), [])


def test_a_region_is_tried_around_its_old_length():
    assert told(sizes(20, None, None, pads=False)) == ([10, 15, 18, 20, 22, 25, 30, 40], [])
    assert told(sizes(5, None, None, pads=True)) == (list(EXACT), [*PADDED[:3], 21, 40])
    assert told(sizes(100, None, None, pads=True)) == ([100], [150]), "a long region in no short length"


def test_a_length_that_is_given_is_the_only_one():
    for pads in (True, False):
        for old in (0, 3, 90):
            assert sizes(old, 7, 7, pads=pads) == [Size(7, padded=False)]


def test_the_most_is_tried_with_padding_where_that_is_known_and_as_it_is_elsewhere():
    assert told(sizes(0, 3, 9, pads=True)) == ([3, 4, 5, 6, 7, 8, 9], [6, 9])
    assert told(sizes(0, 3, 9, pads=False)) == ([3, 4, 6, 8, 9], [])
    assert told(sizes(0, 200, 300, pads=True)) == ([], [300])
    assert told(sizes(0, 12, 20, pads=True)) == ([12, 14, 16], [20]), "what must not be shorter is not padded"


@given(
    old=st.integers(0, 400),
    bounds=st.none() | st.tuples(st.integers(1, 1024), st.integers(1, 1024)).map(sorted),
    pads=st.booleans(),
)
def test_there_is_a_length_within_the_bounds_and_none_outside(old, bounds, pads):
    low, high = bounds or (None, None)
    found = sizes(old, low, high, pads=pads)
    assert found
    assert found == sorted(set(found))
    assert all((low or 1) <= size.masks <= (high or 1 << 30) for size in found)
    assert all(size.masks > (low or 1) for size in found if size.padded), "else nothing could be padded"
    assert pads or not any(size.padded for size in found)


@pytest.fixture
def canvas(checkpoint: Any) -> Canvas:
    return Canvas(checkpoint.tokenizer.encode("a = 1 + 2\n") + [0] * 4, [Span(2, 5)], mask=checkpoint.tokenizer.mask)


def test_a_look_is_the_mean_of_the_likeliest_of_each_mask(checkpoint, canvas, result_of, everywhere):
    logits = everywhere(checkpoint.network, canvas.tokens)[2:5].clone()
    logits[:, canvas.mask] = -torch.inf
    mean, cost = result_of(look(canvas))
    assert mean == pytest.approx(float(logits.log_softmax(-1).max(-1).values.mean()), abs=1e-5)
    assert cost == 1


def test_the_end_is_as_likely_as_padding_at_the_only_mask(checkpoint, result_of, everywhere):
    tokenizer = checkpoint.tokenizer
    canvas = Canvas([*tokenizer.encode("a = 1"), 0, 3], [Span(3, 4)], mask=tokenizer.mask)
    logits = everywhere(checkpoint.network, canvas.tokens)[3].clone()
    logits[canvas.mask] = -torch.inf
    found, cost = result_of(end_logprob(canvas, tokenizer))
    assert found == pytest.approx(float(logits.log_softmax(-1)[tokenizer.pad]), abs=1e-5)
    assert cost == 1


@pytest.mark.parametrize(
    ("tokens", "mean", "end", "pads", "expected"),
    [
        (4, -0.2, -2.0, True, -0.31),
        (20, -0.2, -2.0, True, -0.2),
        (20, -0.3, -2.0, False, -0.3),
        (1, -0.001, 0.0, True, 0.01),
    ],
)
def test_a_sure_text_is_better_the_longer_it_is_where_holes_are_padded(tokens, mean, end, pads, expected):
    hole = HoleText((1,) * tokens, (mean,) * tokens)
    output = RunOutput(Layout((), (), Span(0, 0)), (hole,), 0, 0, nfe=0.0, seconds=0.0)
    assert score(output, end, pads=pads) == expected
