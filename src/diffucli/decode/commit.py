"""Commit rules: which of the proposals become tokens in this step.

A rule sees scores alone, never tokens or positions. Ties go to the leftmost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffucli.decode.sample import gumbel


@dataclass(frozen=True, slots=True)
class Progress:
    """Step `index` of `total` in a window."""

    index: int
    total: int

    @property
    def last(self) -> bool:
        """Whether no step follows."""
        return self.index >= self.total - 1


Rule = Callable[[Tensor, Progress, torch.Generator], Tensor]
Schedule = Callable[[int, Progress], int]


def linear(masks: int, progress: Progress) -> int:
    """⌈masks left / steps left⌉ (LLaDA's table)."""
    return -(-masks // max(progress.total - progress.index, 1))


def dream(masks: int, progress: Progress) -> int:
    """int(masks left · (1 - s/t)), all at the last step; t, s = neighbours of linspace(1, 1e-3, total + 1) (Dream)."""
    return masks if progress.last else int(masks * _rate(progress))


def _rate(progress: Progress) -> float:
    times = torch.linspace(1, 1e-3, progress.total + 1)
    return float(1 - times[progress.index + 1] / times[progress.index])


@dataclass(frozen=True, slots=True)
class TopK:
    """The best, as many as the schedule says. alg_temp > 0 draws them from softmax(score / alg_temp) instead.

    Drawn one after the other without putting back, by Gumbel noise: with a low alg_temp all but one probability are 0.
    """

    schedule: Schedule = dream
    alg_temp: float = 0.0

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        """Indexes `[k]` into `scores` `[n]`."""
        count = min(self.schedule(len(scores), progress), len(scores))
        if self.alg_temp > 0:
            scores = scores / self.alg_temp + gumbel(scores, rng)
        return ranked(scores)[:count]


@dataclass(frozen=True, slots=True)
class Independent:
    """Each mask for itself with probability 1 - s/t, whatever its score (Dream's "origin"); all at the last step."""

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        """Indexes `[k]` into `scores` `[n]`."""
        rate = 1.0 if progress.last else _rate(progress)
        return (torch.rand(scores.shape, generator=rng, device=scores.device) < rate).nonzero()[:, 0]


@dataclass(frozen=True, slots=True)
class Threshold:
    """All scores of at least `least`, and the best one in any case (Fast-dLLM)."""

    least: float = 0.9

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        """Indexes `[k]` into `scores` `[n]`."""
        del progress, rng
        order = ranked(scores)
        return _prefix(order, scores[order] >= self.least)


@dataclass(frozen=True, slots=True)
class Factor:
    """The n best, n the largest with (n + 1)(1 - n-th best score) < `factor`, at least one (Fast-dLLM)."""

    factor: float = 1.0

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        """Indexes `[k]` into `scores` `[n]`."""
        del progress, rng
        order = ranked(scores)
        counts = torch.arange(2, len(scores) + 2, device=scores.device)
        return _largest(order, counts * (1 - scores[order]) < self.factor)


@dataclass(frozen=True, slots=True)
class EntropyBound:
    """The largest set of surest positions with ΣH - max H ≤ `gamma` nats (EB-sampler); scores are -H."""

    gamma: float = 0.1

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        """Indexes `[k]` into `scores` `[n]`."""
        del progress, rng
        order = ranked(scores)
        entropies = -scores[order]
        return _largest(order, entropies.cumsum(0) - entropies <= self.gamma)


def ranked(scores: Tensor) -> Tensor:
    """Indexes `[n]` from the highest score to the lowest, ties from left to right."""
    return scores.argsort(descending=True, stable=True)


def _prefix(order: Tensor, kept: Tensor) -> Tensor:
    """The kept head of `order`, never empty."""
    return order[: max(int(kept.sum()), 1)]


def _largest(order: Tensor, fits: Tensor) -> Tensor:
    """The head of `order` up to the last place where `fits` holds, never empty."""
    places = fits.nonzero()
    return order[: int(places[-1]) + 1 if len(places) else 1]
