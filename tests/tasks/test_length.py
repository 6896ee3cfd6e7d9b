"""The lengths of a hole that are tried, and what a checkpoint is asked about them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.tasks.length import (
    EXACT,
    FINALISTS,
    LADDER,
    LIKELY,
    PADDED,
    Look,
    Size,
    end_logprob,
    look,
    looked_at,
    promising,
    score,
    sizes,
)
from diffucli.tasks.prompt import Layout


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


def test_a_look_has_the_likeliest_of_each_mask_and_the_chance_that_the_text_ends_before_it(
    checkpoint, canvas, result_of, everywhere
):
    logits = everywhere(checkpoint.network, canvas.tokens)[2:5].clone()
    logits[:, canvas.mask] = -torch.inf
    logprobs = logits.log_softmax(-1)
    found, cost = result_of(look(canvas, checkpoint.tokenizer))
    assert found.mean_logprob == pytest.approx(float(logprobs.max(-1).values.mean()), abs=1e-5)
    assert found.ends == pytest.approx(logprobs[:, checkpoint.tokenizer.pad].exp().cummax(0).values.tolist(), abs=1e-5)
    assert cost == 1


def test_the_chance_of_a_length_is_what_the_chance_of_an_end_grows_by():
    found = Look(-0.1, (0.0, 0.0, 0.25, 0.75, 0.75))
    assert [found.length_chance(n) for n in (1, 2, 3, 4, 5)] == [0.0, 0.25, 0.5, 0.0, 0.25]
    assert found.end_chance(9) == 1.0, "it has room for no more"


def test_padded_holes_are_looked_at_or_all_where_only_some_are_written():
    found = sizes(0, None, None, pads=True)
    assert looked_at(found, pads=True) == [Size(20, padded=True), Size(40, padded=True)]
    assert looked_at(sizes(100, None, None, pads=True), pads=True) == [], "a look at 150 masks would add much"
    assert looked_at(sizes(0, 2, 9, pads=True), pads=True) == [], "each of these lengths is tried anyway"
    assert looked_at(sizes(0, None, None, pads=False), pads=False) == sizes(0, None, None, pads=False)
    assert looked_at(sizes(0, 3, 6, pads=False), pads=False) == (), "all four are written"


def _ends(masks: int, by: dict[int, float]) -> Look:
    """A look at `masks` masks, with the chance that the text has at most n tokens, for some n, and those above them."""
    return Look(-0.1, tuple(max([by[n] for n in by if n <= i], default=0.0) for i in range(masks)))


def test_likely_lengths_are_tried_and_unlikely_ones_are_not():
    small, large = Size(20, padded=True), Size(40, padded=True)
    looks = {small: _ends(20, {3: 0.01, 19: 0.2}), large: _ends(40, {3: 0.001, 27: 0.3, 28: 0.8, 33: 0.9})}
    found = promising(sizes(0, None, None, pads=True), looks, low=1, old=0)
    exact, padded = told(found)
    assert padded == list(PADDED)
    assert {n for n in EXACT if n >= 3} <= set(exact), "one look that does not exclude them is enough"
    assert not {1, 2} & set(exact)
    assert set(exact) - set(EXACT) == {27, 28, 33}, "the others are not possible"
    assert {1, 3} < set(told(promising(sizes(1, None, None, pads=True), looks, low=1, old=1))[0]), "the old length is"


def test_of_many_possible_lengths_the_likeliest_are_tried():
    looks = {Size(40, padded=True): _ends(40, {n: 1 - 0.8 ** (n - 16) for n in range(17, 34)})}
    exact, _ = told(promising(sizes(0, None, None, pads=True), looks, low=1, old=0))
    assert set(exact) - set(EXACT) == set(range(17, 17 + LIKELY))


def test_likely_lengths_are_not_below_the_least():
    looks = {Size(40, padded=True): _ends(40, {3: 0.5, 27: 0.6, 28: 0.8})}
    assert min(told(promising(sizes(0, 12, None, pads=True), looks, low=12, old=0))[0]) >= 12


def test_without_a_look_all_sizes_are_written_and_without_padding_the_likeliest():
    found = sizes(0, None, None, pads=False)
    assert promising(found, {}, low=1, old=0) == found
    looks = {size: Look(-float(i % 7), ()) for i, size in enumerate(found)}
    chosen = promising(found, looks, low=1, old=0)
    assert chosen == sorted(chosen)
    assert len(chosen) == FINALISTS
    assert max(-looks[size].mean_logprob for size in chosen) <= min(
        -looks[size].mean_logprob for size in found if size not in chosen
    )


def test_the_end_is_as_likely_as_padding_at_one_more_mask_behind_the_text(checkpoint, result_of, everywhere):
    tokenizer = checkpoint.tokenizer
    text = tokenizer.encode("a = 1\nb")
    layout = Layout(tuple(text), (Span(0, 1), Span(2, 3)), Span(0, len(text)))
    logits = everywhere(checkpoint.network, torch.tensor([*text[:3], tokenizer.mask, *text[3:]]))[3].clone()
    logits[tokenizer.mask] = -torch.inf
    found, cost = result_of(end_logprob(layout, 1, tokenizer))
    assert found == pytest.approx(float(logits.log_softmax(-1)[tokenizer.pad]), abs=1e-5)
    assert cost == 1


FOUR = (-0.2, -0.1, -0.3, -0.2)


@pytest.mark.parametrize(
    ("logprobs", "end", "votes", "breaks", "expected"),
    [
        (FOUR, None, 1, False, -0.2),
        (FOUR, 0.0, 1, False, -0.09),  # 0.08 ln 4
        (FOUR, -2.0, 1, False, -0.19),
        (FOUR, 0.0, 4, False, 0.3),  # 0.28 ln 4
        (FOUR, 0.0, 1, True, -0.44),
        ((-0.3,) * 16, 0.0, 1, False, -0.08),
        ((), 0.0, 1, False, 0.0),
    ],
)
def test_a_text_is_as_good_as_its_tokens_its_length_its_end_and_the_lengths_that_agree(
    logprobs, end, votes, breaks, expected
):
    assert score(logprobs, end, votes=votes, breaks=breaks) == expected
