"""Advantages and policy losses against hand-computed cases."""

from __future__ import annotations

from math import exp

import pytest
import torch

from diffucli.train.surrogate import Clipping, TokenScores, advantages, by_sequence, by_token, clipped_loss

NAN = float("nan")
CLIPPING = Clipping(0.5, 0.5, beta=0.01)


def test_advantages_are_centred_and_never_divided() -> None:
    rewards = torch.tensor([[0.0, 1.0, 2.0, 5.0], [3.0, 3.0, 3.0, 3.0]])
    assert advantages(rewards, "mean").tolist() == [[-2.0, -1.0, 0.0, 3.0], [0.0] * 4]
    left = advantages(rewards, "leave-one-out")
    assert left[0].tolist() == pytest.approx([0 - 8 / 3, 1 - 7 / 3, 2 - 2, 5 - 1])
    assert left[1].tolist() == [0.0] * 4


def test_a_completion_without_a_reward_is_left_out_of_its_group() -> None:
    rewards = torch.tensor([[NAN, 1.0, 3.0], [NAN, NAN, 2.0]])
    assert advantages(rewards, "mean").tolist() == [[0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]
    assert advantages(rewards, "leave-one-out").tolist() == [[0.0, -2.0, 2.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.0, 2.0, -2.0, False),
        (1.4, 2.0, -2.8, False),
        (1.7, 2.0, -3.0, True),
        (0.3, 2.0, -0.6, False),
        (0.3, -2.0, 1.0, True),
        (1.7, -2.0, 3.4, False),
    ],
)
def test_a_ratio_is_clipped_where_that_is_worse(ratio, advantage, loss, clipped) -> None:
    found, held = clipped_loss(torch.tensor(ratio), torch.tensor(advantage), CLIPPING)
    assert float(found) == pytest.approx(loss)
    assert bool(held) is clipped


def test_the_loss_of_tokens_by_hand() -> None:
    score, old, reference = (torch.tensor([[a, b, 9.0]]) for a, b in ((-1.0, -2.0), (-1.2, -1.0), (-1.0, -2.5)))
    scored = torch.tensor([[True, True, False]])
    found = by_token(TokenScores(score, old, reference), torch.tensor([2.0]), scored, CLIPPING)
    kl = exp(-0.5) + 0.5 - 1
    assert float(found.loss) == pytest.approx(-2 * exp(0.2) - 2 * exp(-1.0) + 0.01 * kl, rel=1e-5)
    assert (found.kl, found.clipped, found.terms) == (pytest.approx(kl, rel=1e-5), 0, 2)
    assert float(by_token(TokenScores(score, score), torch.tensor([2.0]), scored, CLIPPING).loss) == pytest.approx(-4.0)


def test_the_loss_of_sequences_by_hand() -> None:
    score, old, reference = (torch.tensor([[a, b, 9.0]]) for a, b in ((-1.0, -2.0), (-1.2, -1.0), (-1.0, -2.5)))
    scored = torch.tensor([[True, True, False]])
    found = by_sequence(
        TokenScores(score, old, reference), torch.tensor([-2.0]), scored, Clipping(0.2, 0.28, beta=0.01)
    )
    kl = 0.5 * 0.5**2 / 2
    assert float(found.loss) == pytest.approx(2 * max(exp(-0.4), 0.8) + 0.01 * kl, rel=1e-5)
    assert (found.kl, found.clipped, found.terms) == (pytest.approx(kl, rel=1e-5), 1, 1)


def test_at_equal_weights_the_gradient_is_that_of_the_policy_gradient() -> None:
    score = torch.tensor([[-1.0, -2.0, -0.5]], requires_grad=True)
    scored = torch.tensor([[True, True, False]])
    by_token(TokenScores(score, score.detach(), score.detach()), torch.tensor([3.0]), scored, CLIPPING).loss.backward()
    assert score.grad is not None
    assert score.grad.tolist() == [[-3.0, -3.0, 0.0]]
