"""Commit rules: which proposals become tokens in a step, and which tokens become masks again.

A rule sees scores and which positions are masks, never tokens. Ties go to the leftmost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from diffucli.decode.sample import gumbel

Asks = Literal["masks", "hole"]


def _none() -> Tensor:
    return torch.empty(0, dtype=torch.long)


@dataclass(frozen=True, slots=True)
class Progress:
    """Step `index` of `total` in a window."""

    index: int
    total: int

    @property
    def last(self) -> bool:
        """Whether this is the last step of the schedule, or later."""
        return self.index >= self.total - 1


@dataclass(frozen=True, slots=True)
class Decision:
    """Indexes `[k]` into the scores of a step: what to commit, and what to mask again."""

    commit: Tensor
    remask: Tensor = field(default_factory=_none)


class Rule(Protocol):
    """Decides a step.

    asks: the positions a step asks the network about: the open masks of the window, or all positions of its holes.
    scheduled: whether it follows a schedule of so many steps; else it takes as many as it needs. drawn: whether its
    choice is random, so that it differs from seed to seed and cannot be guessed ahead.
    """

    @property
    def asks(self) -> Asks:
        """See above."""
        ...

    @property
    def scheduled(self) -> bool:
        """See above."""
        ...

    @property
    def drawn(self) -> bool:
        """See above."""
        ...

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """The decision on `scores` `[n]`, of which `masked` `[n]` are masks; all on the CPU."""
        ...


Schedule = Callable[[int, Progress], int]


def linear(masks: int, progress: Progress) -> int:
    """⌈masks left / steps left⌉ (LLaDA's table)."""
    return -(-masks // max(progress.total - progress.index, 1))


def single(masks: int, progress: Progress) -> int:
    """One (DreamOn)."""
    del masks, progress
    return 1


def dream(masks: int, progress: Progress) -> int:
    """int(masks left · (1 - s/t)), all at the last step; t, s = neighbours of linspace(1, 1e-3, total + 1) (Dream)."""
    return masks if progress.last else int(masks * _rate(progress))


def _rate(progress: Progress) -> float:
    times = torch.linspace(1, 1e-3, progress.total + 1)
    return float(1 - times[progress.index + 1] / times[progress.index])


@dataclass(frozen=True, slots=True)
class TopK:
    """The best, as many as the schedule says. alg_temp > 0 draws them from softmax(score / alg_temp) instead.

    They are drawn one after the other without replacement, by Gumbel noise, so that a low alg_temp cannot fail where
    all probabilities but one round to 0.
    """

    schedule: Schedule = dream
    alg_temp: float = 0.0
    asks: ClassVar[Asks] = "masks"
    scheduled: ClassVar[bool] = True

    @property
    def drawn(self) -> bool:
        """With an alg_temp."""
        return self.alg_temp > 0

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del masked
        count = min(self.schedule(len(scores), progress), len(scores))
        if self.drawn:
            scores = scores / self.alg_temp + gumbel(scores, rng)
        return Decision(ranked(scores)[:count])


@dataclass(frozen=True, slots=True)
class Independent:
    """Each mask for itself with probability 1 - s/t, whatever its score (Dream's "origin"); all at the last step."""

    asks: ClassVar[Asks] = "masks"
    scheduled: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del masked
        rate = 1.0 if progress.last else _rate(progress)
        return Decision((torch.rand(scores.shape, generator=rng, device=scores.device) < rate).nonzero()[:, 0])


@dataclass(frozen=True, slots=True)
class Threshold:
    """All scores of at least `threshold`, and the best one in any case (Fast-dLLM, arXiv 2505.22618)."""

    threshold: float = 0.9
    asks: ClassVar[Asks] = "masks"
    scheduled: ClassVar[bool] = False
    drawn: ClassVar[bool] = False

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del masked, progress, rng
        count = int((scores >= self.threshold).sum())
        return Decision(ranked(scores)[: max(count, 1)])


@dataclass(frozen=True, slots=True)
class Factor:
    """The n best, n the largest with (n + 1)(1 - n-th best score) < `factor`, at least one (Fast-dLLM)."""

    factor: float = 1.0
    asks: ClassVar[Asks] = "masks"
    scheduled: ClassVar[bool] = False
    drawn: ClassVar[bool] = False

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del masked, progress, rng
        order = ranked(scores)
        counts = torch.arange(2, len(scores) + 2, device=scores.device)
        return _up_to_last(order, counts * (1 - scores[order]) < self.factor)


@dataclass(frozen=True, slots=True)
class EntropyBound:
    """The largest set of surest positions with ΣH - max H ≤ `gamma` nats; scores are -H (EB-Sampler, 2505.24857)."""

    gamma: float = 0.1
    asks: ClassVar[Asks] = "masks"
    scheduled: ClassVar[bool] = False
    drawn: ClassVar[bool] = False

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del masked, progress, rng
        order = ranked(scores)
        entropies = -scores[order]
        return _up_to_last(order, entropies.cumsum(0) - entropies <= self.gamma)


@dataclass(frozen=True, slots=True)
class PathPlanning:
    """All of a hole's positions but the ⌊n · (1 - (i + 1) / steps)⌋ with the lowest scores hold a token after step i.

    Those among the low ones that held a token are masked again (P2, arXiv 2502.03540).
    """

    asks: ClassVar[Asks] = "hole"
    scheduled: ClassVar[bool] = True
    drawn: ClassVar[bool] = False

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `Rule`."""
        del rng
        count = len(scores) * max(progress.total - progress.index - 1, 0) // progress.total
        low = torch.zeros(len(scores), dtype=torch.bool)
        low[ranked(-scores)[:count]] = True
        return Decision((masked & ~low).nonzero()[:, 0], (~masked & low).nonzero()[:, 0])


def ranked(scores: Tensor) -> Tensor:
    """Indexes `[n]` from the highest score to the lowest, ties from left to right."""
    return scores.argsort(descending=True, stable=True)


def _up_to_last(order: Tensor, fits: Tensor) -> Decision:
    """Commits `order` up to the last place where `fits` holds, and its first in any case."""
    places = fits.nonzero()
    return Decision(order[: int(places[-1]) + 1 if len(places) else 1])
