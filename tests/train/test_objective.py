"""What is masked, how it is weighted, and that the loss is the formula."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from diffucli.decode.canvas import Span
from diffucli.model.config import Config
from diffucli.train import objective
from diffucli.train.hf_reference import untrained
from diffucli.train.objective import (
    BLOCK,
    MAX_HOLE_WEIGHT,
    MAX_WEIGHT,
    MIN_TIME,
    PAD_WEIGHT,
    USUAL_HOLE,
    WHOLE_HOLES,
    Batch,
    causal_loss,
    collate,
    corrupt,
    times,
)

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

VOCAB, MASK, PAD = 40, 38, 39


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    model = untrained(Config(VOCAB, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=1))
    torch.nn.init.normal_(model.lm_head.weight, std=0.3)
    return model


def answers(count: int, length: int = 100, prompt: int = 7) -> Batch:
    row = ([*range(prompt), *[9] * length], [Span(prompt, prompt + length)], True)
    return collate([row] * count, pad=PAD)


def mixed(seed: int = 0) -> Batch:
    """Answers that end in pads, and fills, of different lengths."""
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(8):
        tokens = torch.randint(0, MASK, (20 + i,), generator=rng).tolist()
        rows.append(([*tokens, PAD, PAD], [Span(8, 22 + i)], True) if i % 2 else (tokens, [Span(5, 9 + i)], False))
    return collate(rows, pad=PAD)


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
def test_times_are_spread_evenly(count: int, seed: int) -> None:
    found = (times(count, torch.Generator().manual_seed(seed)) - MIN_TIME) / (1 - MIN_TIME)
    steps = sorted(found.tolist())
    assert steps[0] >= -1e-6
    assert steps[-1] <= 1
    assert all(b - a == pytest.approx(1 / count, abs=1e-5) for a, b in pairwise(steps))


def test_times_come_in_any_order() -> None:
    found = times(50, torch.Generator().manual_seed(0))
    assert found.tolist() != sorted(found.tolist())


@given(seed=st.integers(0, 999))
def test_only_holes_are_masked(seed: int) -> None:
    batch = mixed(seed)
    masked, weight = corrupt(batch, torch.Generator().manual_seed(seed))
    assert not (masked & ~batch.holes).any()
    assert weight.shape == masked.shape
    assert ((weight >= 1) & (weight <= MAX_WEIGHT * torch.where(batch.answers, 1, MAX_HOLE_WEIGHT)[:, None])).all()
    assert masked.any(1)[~batch.answers].all(), "every hole has something to learn"


def test_a_token_is_masked_with_the_probability_whose_inverse_it_weighs() -> None:
    batch = answers(3000)
    masked, weight = corrupt(batch, torch.Generator().manual_seed(1))
    share, heavy = masked.sum(1) / batch.holes.sum(1), weight[:, 0]
    for low, high in [(1.05, 1.5), (1.5, 2.5), (2.5, 4.9)]:
        rows = (heavy > low) & (heavy < high)
        assert share[rows].mean() == pytest.approx(float((1 / heavy[rows]).mean()), abs=0.02)
    lightest = share[heavy == MAX_WEIGHT]
    assert lightest.mean() == pytest.approx((MIN_TIME + 1 / MAX_WEIGHT) / 2, abs=0.02)


def block_start(holes: list[int], masked: list[bool]) -> int | None:
    """Where block-wise decoding would stand to meet this mask; None if it never does."""
    for begin in range(holes[0], holes[-1] + 1, BLOCK):
        before = masked[holes[0] : begin]
        after = masked[begin + BLOCK : holes[-1] + 1]
        if not any(before) and all(after):
            return begin
    return None


def test_a_third_of_the_answers_is_masked_as_block_wise_decoding_meets_them_and_a_tenth_wholly() -> None:
    batch = answers(2000)
    masked, weight = corrupt(batch, torch.Generator().manual_seed(2))
    plain = (weight[:, 0] == 1).nonzero()[:, 0].tolist()
    assert len(plain) / 2000 == pytest.approx(0.43, abs=0.04)
    holes = list(range(7, 107))
    starts = [block_start(holes, masked[i].tolist()) for i in plain]
    assert None not in starts
    assert {begin - 7 for begin in starts if begin is not None} == {0, BLOCK, 2 * BLOCK, 3 * BLOCK}
    whole = sum(bool(masked[i, 7:].all()) for i in plain)
    assert 0.08 < whole / 2000 < 0.2
    other = [i for i in range(2000) if i not in set(plain)]
    assert sum(block_start(holes, masked[i].tolist()) is None for i in other) > 0.9 * len(other)


def test_fills_are_not_masked_block_by_block() -> None:
    row = ([9] * 100, [Span(0, 90)], False)
    masked, weight = corrupt(collate([row] * 600, pad=PAD), torch.Generator().manual_seed(3))
    starts = [block_start(list(range(90)), one.tolist()) for one in masked]
    assert sum(begin not in {None, 0} for begin in starts) < 6
    light = weight[:, 0] == 1
    assert light.float().mean() == pytest.approx(WHOLE_HOLES, abs=0.06), "those that are wholly masked"
    assert masked[light].sum() == 90 * light.sum()


def test_a_small_hole_weighs_more_unless_it_is_an_answer() -> None:
    def weights(size: int, *, answers: bool) -> torch.Tensor:
        row = ([9] * 200, [Span(200 - size, 200)], answers)
        return corrupt(collate([row] * 400, pad=PAD), torch.Generator().manual_seed(4))[1][:, 0]

    assert weights(1, answers=False).min() == MAX_HOLE_WEIGHT
    assert weights(USUAL_HOLE // 4, answers=False).min() == pytest.approx(2.0)
    assert weights(2 * USUAL_HOLE, answers=False).min() == weights(1, answers=True).min() == 1.0


def test_rows_are_padded_on_the_right() -> None:
    batch = collate([([1, 2, 3], [Span(1, 2)], False), ([4, 5, 6, 7], [Span(2, 3), Span(3, 4)], True)], pad=PAD)
    assert batch.tokens.tolist() == [[1, 2, 3, PAD], [4, 5, 6, 7]]
    assert batch.valid.tolist() == [[True] * 3 + [False], [True] * 4]
    assert batch.holes.tolist() == [[False, True, False, False], [False, False, True, True]]
    assert batch.answers.tolist() == [False, True]


def naive(model: Qwen2ForCausalLM, batch: Batch, seed: int) -> float:
    """The loss of masked diffusion, token by token, each row by itself."""
    masked, weight = corrupt(batch, torch.Generator().manual_seed(seed))
    total = weights = 0.0
    for i, tokens in enumerate(batch.tokens):
        length = int(batch.valid[i].sum())
        shown = torch.where(masked[i], MASK, tokens)[:length]
        logits = model(input_ids=shown[None], use_cache=False).logits[0]
        for place in masked[i].nonzero()[:, 0].tolist():
            heavy = float(weight[i, place]) * (PAD_WEIGHT if tokens[place] == tokens[place - 1] == PAD else 1)
            total += heavy * float(cross_entropy(logits[place - 1], tokens[place]))
            weights += heavy
    return total / weights


@torch.no_grad()
def test_the_loss_of_masked_diffusion_is_the_weighted_mean_over_masked_tokens(model: Qwen2ForCausalLM) -> None:
    for seed in range(3):
        batch = mixed(seed)
        rng = torch.Generator().manual_seed(seed)
        loss = objective.diffusion_loss(model, batch, mask=MASK, pad=PAD, rng=rng)
        assert float(loss) == pytest.approx(naive(model, batch, seed), rel=1e-4)


@torch.no_grad()
def test_the_causal_loss_is_the_mean_over_all_next_tokens_the_holes_in_full(model: Qwen2ForCausalLM) -> None:
    model.config.is_causal = True
    batch, total, weights = mixed(), 0.0, 0.0
    for i, tokens in enumerate(batch.tokens):
        length = int(batch.valid[i].sum())
        for place in range(1, length):
            logits = model(input_ids=tokens[None, :place], use_cache=False).logits[0, -1]
            padded = tokens[place] == tokens[place - 1] == PAD
            heavy = (1.0 if batch.holes[i, place] else 0.2) * (PAD_WEIGHT if padded else 1)
            total += heavy * float(cross_entropy(logits, tokens[place]))
            weights += heavy
    assert float(causal_loss(model, batch, pad=PAD)) == pytest.approx(total / weights, rel=1e-4)


@torch.no_grad()
def test_a_batch_with_nothing_masked_costs_nothing(model: Qwen2ForCausalLM) -> None:
    batch = collate([([1, 2, 3], [], False)], pad=PAD)
    loss = objective.diffusion_loss(model, batch, mask=MASK, pad=PAD, rng=torch.Generator())
    assert float(loss) == 0


@pytest.mark.parametrize("causal", [True, False])
def test_eight_rows_are_learned_by_heart(model: Qwen2ForCausalLM, causal: bool) -> None:
    batch, rng = mixed(), torch.Generator().manual_seed(0)
    model.config.is_causal = causal
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=1e-2), []
    for _ in range(60):
        if causal:
            loss = causal_loss(model, batch, pad=PAD)
        else:
            loss = objective.diffusion_loss(model, batch, mask=MASK, pad=PAD, rng=rng)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < 0.5 * first
    assert exp(first) > VOCAB / 4
