"""Predictors: shift, cache and suffix change what is computed, never what it means."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.predict import Full, Windowed, predictor, visible
from diffucli.model.load import size_of
from diffucli.model.network import Network
from diffucli.model.transformer import Qwen2

MASK = 12


def canvas_of(length: int, *holes: Span, seed: int = 0, vocab: int = 12, mask: int = MASK) -> Canvas:
    tokens = torch.randint(0, vocab, (length,), generator=torch.Generator().manual_seed(seed))
    return Canvas(tokens, holes, mask=mask)


def every(window: Span) -> torch.Tensor:
    return torch.arange(window.start, window.stop)


windows = st.integers(0, 20).flatmap(lambda a: st.integers(a + 1, 24).map(lambda b: Span(a, b)))


def prefixed(network, **settings):
    return Windowed(network, dual=False, **settings)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", [Full, Windowed, prefixed])
@given(window=windows)
def test_a_windows_logits_are_those_of_the_full_shift(fake, kind, shift, window, everywhere):
    canvas, network = canvas_of(24, window, seed=window.start), fake(shift)
    wanted = everywhere(network, canvas.tokens)[window.start : window.stop]
    torch.testing.assert_close(kind(network)(canvas, window, every(window)), wanted)


@pytest.mark.parametrize("shift", [0, 1])
def test_everywhere_is_the_published_shift(fake, shift, everywhere):
    """cat([logits[:, :1], logits[:, :-1]], 1) for a shift of 1."""
    tokens, network = torch.arange(9), fake(shift)
    raw = network(tokens, torch.arange(9))
    shifted = torch.cat([raw[:1], raw[:-1]]) if shift else raw
    assert torch.equal(everywhere(network, tokens), shifted)


@pytest.mark.parametrize("shift", [0, 1])
@given(window=windows, seed=st.integers(0, 99))
def test_the_same_window_again_equals_full_in_a_network_of_one_layer(fake, shift, window, seed):
    """Keys and values of one layer depend on their own token alone, and only the window's tokens changed."""
    network, canvas = fake(shift), canvas_of(24, window, seed=seed)
    cached = Windowed(network)
    cached(canvas, window, every(window))
    canvas.commit([window.start], [5])
    asked = canvas.masked(window)
    if len(asked):
        torch.testing.assert_close(cached(canvas, window, asked), Full(network)(canvas, window, asked))


@pytest.mark.parametrize(("shift", "row"), [(0, 0), (1, 1)])
def test_the_same_window_again_evaluates_itself_and_the_row_the_shift_needs(fake, shift, row):
    network, window = fake(shift), Span(4, 12)
    canvas, cached = canvas_of(24, window), Windowed(network)
    for _ in range(3):
        cached(canvas, window, every(window))
    assert network.forwards == [24, 8 + row, 8 + row]


@pytest.mark.parametrize(("shift", "row"), [(0, 0), (1, 1)])
def test_a_prefix_cache_evaluates_what_stands_behind_the_window_too(fake, shift, row):
    network, window = fake(shift), Span(4, 12)
    canvas, cached = canvas_of(24, window), prefixed(network)
    for _ in range(2):
        cached(canvas, window, every(window))
    assert network.forwards == [24, 20 + row]


def test_a_prefix_cache_is_nearer_to_full_forwards_than_a_dual_one(checkpoint):
    """What is behind the window sees what was written; what is before it does in neither."""
    window = Span(20, 40)
    canvas = canvas_of(60, window, vocab=480, mask=checkpoint.tokenizer.mask)
    kinds = [prefixed(checkpoint.network), Windowed(checkpoint.network)]
    for kind in kinds:
        kind(canvas, window, every(window))
    canvas.commit([20, 25, 30], [3, 4, 5])
    wanted = Full(checkpoint.network)(canvas, window, canvas.masked(window))
    prefix, dual = ((kind(canvas, window, canvas.masked(window)) - wanted).abs().mean() for kind in kinds)
    assert 0 < prefix < dual


def test_a_new_window_or_canvas_costs_a_full_forward(fake):
    network, holes = fake(), (Span(4, 8), Span(12, 16))
    one, other, cached = canvas_of(24, *holes), canvas_of(24, *holes, seed=1), Windowed(network)
    for canvas, window in [(one, holes[0]), (one, holes[1]), (other, holes[1]), (one, holes[1])]:
        torch.testing.assert_close(cached(canvas, window, every(window)), Full(network)(canvas, window, every(window)))
    assert network.forwards == [24] * 8


@pytest.mark.parametrize("start", [0, 1, 5])
def test_windowed_equals_full_on_a_windows_first_call_on_the_golden_checkpoint(checkpoint, start, everywhere):
    window = Span(start, start + 20)
    canvas = canvas_of(60, window, Span(40, 60), vocab=480, mask=checkpoint.tokenizer.mask)
    first = Windowed(checkpoint.network)(canvas, window, every(window))
    torch.testing.assert_close(first, Full(checkpoint.network)(canvas, window, every(window)), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        first, everywhere(checkpoint.network, canvas.tokens)[start : start + 20], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("start", [0, 1, 5])
def test_the_real_cache_is_exact_on_an_unchanged_canvas(checkpoint, start):
    """In any number of layers: what is stored is what would be computed."""
    window = Span(start, start + 20)
    canvas, cached = canvas_of(60, window, vocab=480, mask=488), Windowed(checkpoint.network)
    first = cached(canvas, window, every(window))
    torch.testing.assert_close(cached(canvas, window, every(window)), first, atol=1e-4, rtol=0)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_the_real_cache_is_exact_in_one_layer_when_only_the_window_changed(checkpoint, start):
    torch.manual_seed(0)
    network = Network(Qwen2(size_of(replace(checkpoint.config, num_layers=1))))
    window = Span(start, start + 20)
    canvas, cached = canvas_of(60, window, vocab=480, mask=488), Windowed(network)
    before = cached(canvas, window, every(window))
    canvas.commit([start, start + 7], [3, 4])
    again = cached(canvas, window, every(window))
    torch.testing.assert_close(again, Full(network)(canvas, window, every(window)), atol=1e-5, rtol=0)
    assert not torch.allclose(again, before, atol=1e-5)


@given(st.integers(1, 10), st.integers(0, 10), st.integers(1, 8), st.integers(0, 12) | st.none(), st.data())
def test_only_masks_behind_the_window_at_the_very_end_are_cut(first, between, last, suffix, data):
    tail = data.draw(st.integers(0, 3))
    holes = Span(2, 2 + first), Span(2 + first + between, 2 + first + between + last)
    canvas = canvas_of(holes[1].stop + tail, *holes)
    for window in canvas.blocks(4):
        stop = visible(canvas, window, suffix)
        assert window.stop <= stop <= len(canvas)
        assert all(token == MASK for token in canvas.tokens[stop:])
        assert stop == len(canvas) if suffix is None or tail else stop <= max(window.stop + suffix, holes[1].start)


def test_a_suffix_keeps_true_positions_and_all_context(fake, everywhere):
    """Positions before and inside the window see just what they would on a shorter canvas."""
    network, window = fake(), Span(6, 10)
    canvas, shorter = canvas_of(40, Span(6, 40)), canvas_of(13, Span(6, 13))
    shorter.tokens[:6] = canvas.tokens[:6]
    wanted = everywhere(network, shorter.tokens)[6:10]
    for kind in (Full, Windowed):
        torch.testing.assert_close(kind(network, suffix=3)(canvas, window, every(window)), wanted)


@pytest.mark.parametrize("suffix", [0, 2])
def test_a_suffix_never_cuts_context_after_the_last_hole(fake, suffix):
    network, window = fake(), Span(6, 10)
    canvas = canvas_of(40, Span(6, 39))
    wanted = Full(network)(canvas, window, every(window))
    for kind in (Full, Windowed):
        torch.testing.assert_close(kind(network, suffix=suffix)(canvas, window, every(window)), wanted)


def prefixed(network, **settings):
    return Windowed(network, dual=False, **settings)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", [Full, Windowed, prefixed])
def test_a_batch_of_canvases_costs_one_forward_and_answers_as_each_alone(fake, kind, shift):
    """With a cache, once the window is known; the cache is left as it was."""
    network, window = fake(shift), Span(6, 12)
    canvas, predict = canvas_of(24, window, Span(16, 24)), kind(network, suffix=3)
    before = predict(canvas, window, every(window))
    batch = canvas.tokens.repeat(3, 1)
    batch[1, 7], batch[2, 11] = 4, 5
    together = predict.batch(batch, every(window), canvas=canvas, window=window)
    assert len(network.forwards) == predict.forwards == 2
    for tokens, logits in zip(batch, together, strict=True):
        alone = kind(network, suffix=3)
        alone(canvas, window, every(window))
        torch.testing.assert_close(alone.batch(tokens, every(window), canvas=canvas, window=window), logits)
    torch.testing.assert_close(predict(canvas, window, every(window)), before)


def test_keys_and_values_are_filled_by_one_canvas_alone(fake):
    window = Span(6, 12)
    canvas = canvas_of(24, window)
    with pytest.raises(AssertionError, match="one canvas"):
        Windowed(fake()).batch(canvas.tokens.repeat(2, 1), every(window), canvas=canvas, window=window)


def test_the_predictor_of_a_policy(fake):
    made = {cache: predictor(fake(), cache=cache, suffix=3) for cache in ("prefix", "dual")}
    assert {cache: (type(one), one.dual) for cache, one in made.items()} == {
        "prefix": (Windowed, False),
        "dual": (Windowed, True),
    }
    assert isinstance(predictor(fake(), cache="none", suffix=None), Full)
