"""Estimators against the enumeration of all masks: mean, variance of the coupled pair, and weights by hand."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from diffucli.train.estimators import Views, coupled, coupled_by_count, decoupled, draw, full, scores, with_full
from diffucli.train.rollouts import generator_of

L = 6
RNG = torch.Generator().manual_seed(3)
TABLE = -3 * torch.rand(2**L, L, dtype=torch.float64, generator=RNG)  # a log-probability for each mask and position
BITS = 2 ** torch.arange(L)
ALL_MASKS = torch.tensor(list(product([False, True], repeat=L)))
EVERY = torch.ones(1, L, dtype=torch.bool)


def logprobs(masked: Tensor) -> Tensor:
    """`[V, B, L]` log-probabilities of a network that is a table: they depend on all that is masked."""
    return TABLE[(masked * BITS).sum(-1)]


def probability(mask: Tensor, time: float) -> float:
    masks = int(mask.sum())
    return time**masks * (1 - time) ** (L - masks)


def noise_for(mask: Tensor, time: float) -> Tensor:
    """Noise below `time` just where `mask` is."""
    return torch.where(mask, time / 2, (1 + time) / 2)[None]


def value(views: Views) -> Tensor:
    """The scores `[L]` of the one completion."""
    return scores(Views(views.masked, views.weight.double()), logprobs(views.masked))[0]


def masked_mean(time: float) -> Tensor:
    """`[L]`: the mean log-probability of each token where it is masked, over all masks."""
    total = sum(probability(mask, time) * mask * TABLE[(mask * BITS).sum()] for mask in ALL_MASKS)
    return total / time


def moments(times: list[float], estimate: object) -> tuple[Tensor, Tensor]:
    """Mean and variance of `estimate(mask, time)` over equally likely times and all masks."""
    draws = [(probability(mask, t) / len(times), estimate(mask, t)) for t in times for mask in ALL_MASKS]
    mean = sum(p * each for p, each in draws)
    return mean, sum(p * (each - mean) ** 2 for p, each in draws)


def pair(mask: Tensor, time: float) -> Tensor:
    return value(coupled(EVERY, noise_for(mask, time), torch.tensor([time], dtype=torch.float64)))


def single(mask: Tensor, time: float) -> Tensor:
    return torch.where(mask, TABLE[(mask * BITS).sum()] / time, 0.0)


TIMES = [0.2, 0.35, 0.65, 0.8]  # symmetric about a half


def test_the_coupled_pair_has_the_mean_of_single_draws_and_the_variance_that_follows_from_its_complement() -> None:
    mean, variance = moments(TIMES, single)
    paired, spread = moments(TIMES, pair)
    torch.testing.assert_close(mean, sum(map(masked_mean, TIMES)) / len(TIMES))
    torch.testing.assert_close(paired, mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(spread, (variance - mean**2) / 2, rtol=1e-5, atol=1e-6)
    assert (spread < variance / 2).all(), "two independent draws have half the variance of one"


def test_independent_views_are_the_mean_of_single_draws() -> None:
    """So their variance is half of that of one."""
    for first, second in zip(ALL_MASKS, reversed(ALL_MASKS[::2].repeat_interleave(2, 0)), strict=True):
        noises, times = (
            (noise_for(first, 0.35), noise_for(second, 0.8)),
            [torch.tensor([t]).double() for t in (0.35, 0.8)],
        )
        found = value(decoupled(EVERY, noises, times))
        torch.testing.assert_close(found, (single(first, 0.35) + single(second, 0.8)) / 2, rtol=1e-6, atol=1e-6)


def test_counts_from_zero_on_estimate_the_bound_without_bias() -> None:
    """Over all counts and all masks of each; the bound is the sum of mean/size over the sizes of masks."""
    exact = torch.zeros((), dtype=torch.float64)
    for size in range(1, L + 1):
        sums = [(TABLE[(mask * BITS).sum()] * mask).sum() for mask in ALL_MASKS if int(mask.sum()) == size]
        exact += torch.stack(sums).mean() / size
    total = torch.zeros((), dtype=torch.float64)
    for count in range(L + 1):
        masks = [mask for mask in ALL_MASKS if int(mask.sum()) == count]
        of_count = [
            value(coupled_by_count(EVERY, (~mask).double()[None], torch.tensor([count]))).sum() for mask in masks
        ]
        total += torch.stack(of_count).mean() / (L + 1)
    assert float(total) == pytest.approx(float(exact), rel=1e-6)


def test_published_scores_weigh_one_and_a_half_and_normalised_ones_one() -> None:
    time = torch.tensor([0.3], dtype=torch.float64)
    for score, total in (("published", 1.5), ("normalised", 1.0)):
        mean = torch.zeros(L, dtype=torch.float64)
        for mask in ALL_MASKS:
            views = with_full(coupled(EVERY, noise_for(mask, 0.3), time), EVERY, score)
            mean += probability(mask, 0.3) * views.weight.double().sum(0)[0]
        torch.testing.assert_close(mean, torch.full((L,), total, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_a_score_by_hand() -> None:
    """Three tokens, the second is masked first: ½(lp1/.25) for it, ½(lp2/.75) for the others, and ½ lp0 for all."""
    scored = torch.ones(1, 3, dtype=torch.bool)
    views = with_full(coupled(scored, torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([0.25])), scored, "published")
    assert views.masked.tolist() == [[[False, True, False]], [[True, False, True]], [[True, True, True]]]
    found = scores(views, torch.tensor([[[-1.0, -2.0, -3.0]], [[-4.0, -5.0, -6.0]], [[-7.0, -8.0, -9.0]]]))
    expected = [-4 / 1.5 - 3.5, -2 / 0.5 - 4.0, -6 / 1.5 - 4.5]
    torch.testing.assert_close(found[0], torch.tensor(expected))


@pytest.mark.parametrize("algorithm", ["coupled", "full", "decoupled", "espo"])
def test_what_follows_the_end_is_masked_in_every_view_and_weighs_nothing(algorithm) -> None:
    scored = torch.arange(8)[None] < torch.tensor([[5], [8], [1]])
    views = draw(algorithm, scored, [generator_of(i) for i in range(3)], torch.tensor([0.3, 0.5, 0.7]), "published")
    assert views.masked[:, ~scored].all()
    assert (views.weight[:, ~scored] == 0).all()
    assert not (views.weight > 0)[~views.masked].any(), "only masked tokens are predicted"
    if algorithm in {"coupled", "espo"}:
        assert (views.masked[0] ^ views.masked[1])[scored].all()
    if algorithm == "full":
        assert views.masked.all()


def test_a_completion_has_the_same_masks_in_any_company() -> None:
    scored, times = torch.ones(3, 8, dtype=torch.bool), torch.tensor([0.3, 0.5, 0.7])
    for algorithm in ("coupled", "decoupled", "espo"):
        together = draw(algorithm, scored, [generator_of(i) for i in range(3)], times, "published")
        alone = draw(algorithm, scored[:1], [generator_of(1)], times[1:2], "published")
        assert torch.equal(together.masked[:, 1], alone.masked[:, 0])
    assert full(scored).masked.shape == (1, 3, 8)
