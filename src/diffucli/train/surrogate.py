"""The policy loss: clipped ratios of scores times advantages, and the divergence from a reference.

Pure functions of tensors; scores `[B, L]` come from `estimators.scores`. Knows no network and no views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Baseline = Literal["mean", "leave-one-out"]
Level = Literal["token", "sequence"]


@dataclass(frozen=True, slots=True)
class Clipping:
    """How far a ratio may move: it counts as at least 1 - `low` and at most 1 + `high`. beta: weight of the KL."""

    low: float
    high: float
    beta: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """Scores `[B, L]` (nats) by the weights in training, those that wrote, and the reference, under equal masks."""

    current: Tensor
    old: Tensor
    reference: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """Sums over a micro-batch, to be divided by the number of terms of the whole batch.

    loss: to be minimised. kl: of the divergence. clipped: how many terms were clipped. terms: how many there are.
    """

    loss: Tensor
    kl: float
    clipped: float
    terms: int


def advantages(rewards: Tensor, baseline: Baseline) -> Tensor:
    """`[P, G]` rewards of P groups less the mean of the group, or of its other members; NaN is left out, and gives 0.

    They are not divided by the standard deviation (arXiv 2503.20783). A group without differences has 0 everywhere.
    """
    known = ~rewards.isnan()
    count = known.sum(1, keepdim=True)
    centred = rewards - rewards.nansum(1, keepdim=True) / count.clamp(min=1)
    if baseline == "leave-one-out":
        centred = centred * count / (count - 1).clamp(min=1)
    return torch.where(known, centred, 0.0)


def clipped_loss(ratio: Tensor, advantage: Tensor, clipping: Clipping) -> tuple[Tensor, Tensor]:
    """-min(rA, clip(r)A) for each ratio, and whether the clipped term is the one that counts."""
    bounded = ratio.clamp(1 - clipping.low, 1 + clipping.high)
    free, held = ratio * advantage, bounded * advantage
    return -torch.minimum(free, held), held < free


def by_token(scores: TokenScores, advantage: Tensor, scored: Tensor, clipping: Clipping) -> Surrogate:
    """Every scored token is an action: r = exp(s - s_old), KL by e^d - d - 1 with d = s_ref - s.

    advantage: `[B]`. scored: `[B, L]`.
    """
    loss, clipped = clipped_loss((scores.current - scores.old).exp(), advantage[:, None], clipping)
    kl = torch.zeros_like(loss)
    if scores.reference is not None:
        distance = scores.reference - scores.current
        kl = distance.exp() - distance - 1
    total = torch.where(scored, loss + clipping.beta * kl, 0.0).sum()
    return Surrogate(total, _sum(kl, scored), _sum(clipped, scored), int(scored.sum()))


def by_sequence(scores: TokenScores, advantage: Tensor, scored: Tensor, clipping: Clipping) -> Surrogate:
    """A completion of n tokens is one action (ESPO): r = exp((ELBO - ELBO_old)/n), KL by ½(ELBO - ELBO_ref)²/n.

    Arguments as of `by_token`; the evidence lower bound is the sum of the scores.
    """
    length = scored.sum(1).clamp(min=1)
    bound, old = (torch.where(scored, each, 0.0).sum(1) for each in (scores.current, scores.old))
    loss, clipped = clipped_loss(((bound - old) / length).exp(), advantage, clipping)
    kl = torch.zeros_like(loss)
    if scores.reference is not None:
        kl = 0.5 * (bound - torch.where(scored, scores.reference, 0.0).sum(1)) ** 2 / length
    every = torch.ones_like(loss, dtype=torch.bool)
    return Surrogate((loss + clipping.beta * kl).sum(), _sum(kl, every), _sum(clipped, every), len(loss))


def _sum(values: Tensor, where: Tensor) -> float:
    return float(torch.where(where, values.detach().float(), 0.0).sum())
