"""Estimators of the log-likelihood of completions: which tokens are masked in each view, and what they weigh there.

Pure functions of tensors. B completions have L positions; V views of each are evaluated, one forward each. A position
is *scored* up to and with the first end token; those behind it are masks in every view and weigh nothing. Knows no
network: the score of a token is the sum of weight · log-probability over the views, see `scores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

Algorithm = Literal["coupled", "full", "decoupled", "espo"]
Score = Literal["published", "normalised"]
LOWEST_TIME, HIGHEST_TIME = 0.2, 0.8  # masking probabilities of coupled-GRPO (arXiv 2506.20639, section 5)


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """`[V, B, L]`: what is masked in each view, and the weight of each log-probability; 0 where nothing is scored."""

    masked: Tensor
    weight: Tensor

    @property
    def scored(self) -> Tensor:
        """`[V, B, L]`: where a log-probability is needed."""
        return self.weight > 0


def draw(algorithm: Algorithm, scored: Tensor, rngs: Sequence[torch.Generator], time: Tensor, score: Score) -> Views:
    """The views of one draw. scored: `[B, L]`. rngs: one for each completion. time: `[B]`, masking probabilities.

    The same draw serves the current, the old and the reference weights, so that noise of the masks cancels in ratios.
    """
    noise, other = (torch.stack([torch.rand(scored.shape[1], generator=rng) for rng in rngs]) for _ in range(2))
    share = torch.stack([torch.rand((), generator=rng) for rng in rngs])
    match algorithm:
        case "full":
            return full(scored)
        case "coupled":
            return with_full(coupled(scored, noise, time), scored, score)
        case "decoupled":
            second = LOWEST_TIME + (HIGHEST_TIME - LOWEST_TIME) * share
            return with_full(decoupled(scored, (noise, other), (time, second)), scored, score)
        case "espo":
            return coupled_by_count(scored, noise, (share * (scored.sum(1) + 1)).long())


def full(scored: Tensor) -> Views:
    """One view with everything masked."""
    return Views(torch.ones_like(scored)[None], scored.float()[None])


def coupled(scored: Tensor, noise: Tensor, time: Tensor) -> Views:
    """Two views, each the other's complement: every token is predicted exactly once.

    noise: `[B, L]`, uniform on [0, 1). time: `[B]`. A token is masked in the first view with probability `time`, and
    weighs ½/time there, else ½/(1 - time) in the second one. The variance is (σ² - v²)/2 where two independent draws
    have σ²/2, with σ² the variance and v the mean of a single draw, since one of the two terms is 0.
    """
    first = noise < time[:, None]
    chosen, share = torch.stack([first, ~first]), torch.stack([time, 1 - time])[..., None]
    return Views(chosen | ~scored, torch.where(chosen & scored, 0.5 / share, 0.0))


def decoupled(scored: Tensor, noises: Sequence[Tensor], times: Sequence[Tensor]) -> Views:
    """Independent views, one for each of `noises` `[B, L]` and `times` `[B]`."""
    share = torch.stack([*times])[..., None]
    chosen = torch.stack([*noises]) < share
    return Views(chosen | ~scored, torch.where(chosen & scored, 1 / (len(share) * share), 0.0))


def coupled_by_count(scored: Tensor, noise: Tensor, count: Tensor) -> Views:
    """Two complementary views, of which the first masks `count` `[B]` of the N scored tokens, drawn from {0 … N}.

    A masked token weighs ½(N + 1)/count, as in ESPO (arXiv 2512.03759), and the sum over a row estimates the evidence
    lower bound. Drawing from {1 … N} would be biased, since the second view has N - count masks.
    """
    total = scored.sum(1)
    rank = noise.masked_fill(~scored, 2.0).argsort(1).argsort(1)
    first = rank < count[:, None]
    chosen = torch.stack([first, ~first])
    share = torch.stack([count, total - count])[..., None] / (total[:, None] + 1)
    return Views(chosen | ~scored, torch.where(chosen & scored, 0.5 / share.clamp(min=1e-9), 0.0))


def with_full(views: Views, scored: Tensor, score: Score) -> Views:
    """The views, and a fully masked one. Their weights in the score of a token:

    "published" is ½(pair + full), where the pair counts twice, so that the weights of a token sum to 1.5 on average;
    "normalised" divides that by 1.5.
    """
    pair, whole = (1.0, 0.5) if score == "published" else (2 / 3, 1 / 3)
    everything = full(scored)
    return Views(
        torch.cat([views.masked, everything.masked]), torch.cat([pair * views.weight, whole * everything.weight])
    )


def scores(views: Views, logprobs: Tensor) -> Tensor:
    """The score `[B, L]` of each token by its log-probabilities `[V, B, L]` in the views, in nats."""
    return (views.weight.to(logprobs.device) * logprobs).sum(0)
