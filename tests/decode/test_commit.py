"""Commit rules are what their docstrings say, against brute force; schedules fill the hole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.commit import (
    Decision,
    EntropyBound,
    Factor,
    Independent,
    PathPlanning,
    Progress,
    Threshold,
    TopK,
    dream,
    linear,
    ranked,
    single,
)

ANY = Progress(0, 1)
# Multiples of 1/64 are exact in float32, so an oracle in Python's floats agrees at the edges, ties included.
confidences = st.lists(st.integers(0, 64).map(lambda n: n / 64), min_size=1, max_size=12)
entropies = st.lists(st.integers(-128, 0).map(lambda n: n / 64), min_size=1, max_size=12)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chosen(rule, scores: list[float], progress: Progress = ANY, seed: int = 0) -> list[int]:
    decision = rule(torch.tensor(scores), torch.ones(len(scores), dtype=torch.bool), progress, rng(seed))
    assert not len(decision.remask), "none of the rules here masks anything again"
    return decision.commit.tolist()


def best_first(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


@pytest.mark.parametrize("schedule", [linear, dream])
@given(length=st.integers(1, 300), steps=st.integers(1, 350))
def test_quotas_of_a_schedule_sum_to_the_hole(schedule, length, steps):
    left, quotas = length, []
    for index in range(steps):
        quotas.append(schedule(left, Progress(index, steps)))
        left -= quotas[-1]
    assert left == 0
    assert min(quotas) >= 0


@given(st.integers(1, 300), st.integers(1, 350))
def test_linear_spreads_evenly(length, steps):
    left, quotas = length, []
    for index in range(min(steps, length)):
        quotas.append(linear(left, Progress(index, steps)))
        left -= quotas[-1]
    assert max(quotas) - min(quotas) <= 1
    assert quotas == sorted(quotas, reverse=True)


def test_dream_commits_nothing_first_and_two_last_with_a_step_for_each_mask():
    """As the published code does (shared/design/diffucoder.md)."""
    left, quotas = 16, []
    for index in range(16):
        quotas.append(dream(left, Progress(index, 16)))
        left -= quotas[-1]
    assert (quotas[0], quotas[-1], sum(quotas)) == (0, 2, 16)


def test_a_schedule_that_is_overrun_still_commits_all():
    assert dream(5, Progress(9, 4)) == linear(5, Progress(9, 4)) == 5


@given(confidences)
def test_ranked_goes_from_best_to_worst_with_ties_leftmost(scores):
    assert ranked(torch.tensor(scores)).tolist() == best_first(scores)


def test_ties_go_leftmost_in_long_rows_too():
    """Where an unstable sort would take another way."""
    scores = torch.arange(5000) % 3
    assert ranked(scores.float()).tolist() == best_first(scores.tolist())


@given(confidences, st.integers(0, 20))
def test_topk_takes_the_best_the_schedule_asks_for(scores, count):
    assert chosen(TopK(lambda *_: count), scores) == best_first(scores)[:count]


@given(confidences, st.integers(0, 64).map(lambda n: n / 64))
def test_threshold_takes_all_at_or_above_and_the_best_in_any_case(scores, threshold):
    expected = [i for i in best_first(scores) if scores[i] >= threshold]
    assert chosen(Threshold(threshold), scores) == (expected or best_first(scores)[:1])


@given(confidences, st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 16.0]))
def test_factor_takes_the_largest_n_that_fits(scores, factor):
    order = best_first(scores)
    fitting = [n for n in range(1, len(scores) + 1) if (n + 1) * (1 - scores[order[n - 1]]) < factor]
    assert chosen(Factor(factor), scores) == order[: max(fitting, default=1)]


@given(entropies, st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]))
def test_entropy_bound_takes_the_largest_set_whose_sum_less_its_maximum_fits(scores, gamma):
    order = best_first(scores)
    heads = [[-scores[i] for i in order[:n]] for n in range(1, len(scores) + 1)]
    expected = max(len(head) for head in heads if sum(head) - max(head) <= gamma)
    assert chosen(EntropyBound(gamma), scores) == order[:expected]


def test_what_just_reaches_a_bound_is_within_it():
    """Factor's bound is the one that must not be reached."""
    assert chosen(Threshold(0.5), [0.25, 0.5, 0.75]) == [2, 1]
    assert chosen(EntropyBound(0.75), [-0.5, -0.25, -2.0]) == [1, 0, 2], "0.25 + 0.5 + 2 - 2 = 0.75"
    assert chosen(EntropyBound(0.74), [-0.5, -0.25, -2.0]) == [1, 0]
    assert chosen(Factor(1.5), [0.5, 0.5]) == [0], "3 · (1 - 0.5) = 1.5"
    assert chosen(Factor(1.51), [0.5, 0.5]) == [0, 1]


@pytest.mark.parametrize("rule", [Threshold(2.0), Factor(-1.0), EntropyBound(-1.0)])
@given(scores=entropies)
def test_rules_that_nothing_satisfies_still_commit_one(rule, scores):
    assert len(chosen(rule, scores)) == 1


@given(confidences, st.integers(1, 12), st.sampled_from([0.001, 0.1, 1.0, 10.0]), st.integers(0, 99))
def test_alg_temp_draws_distinct_places(scores, count, alg_temp, seed):
    drawn = chosen(TopK(lambda *_: count, alg_temp), scores, seed=seed)
    assert len(drawn) == len(set(drawn)) == min(count, len(scores))


def test_alg_temp_draws_the_first_place_from_the_softmax():
    scores, generator, hits = torch.tensor([0.0, 0.5, 1.0]), rng(), torch.zeros(3)
    for _ in range(4000):
        hits[TopK(lambda *_: 1, 0.5)(scores, torch.ones(3, dtype=torch.bool), ANY, generator).commit] += 1
    expected = 4000 * (scores / 0.5).softmax(-1)
    assert ((hits - expected) ** 2 / expected).sum() < 13.8  # chi-square, 2 degrees of freedom, p = 0.001


def test_a_low_alg_temp_goes_by_score_although_the_softmax_underflows():
    for seed in range(20):
        assert chosen(TopK(lambda *_: 3, 1e-3), [-5.0, 0.0, -4.0, -3.0], seed=seed) == [1, 3, 2]


def test_independent_commits_each_with_the_schedules_rate_and_all_at_the_end():
    scores = [0.0] * 10_000
    assert chosen(Independent(), scores, Progress(3, 4)) == list(range(10_000))
    rate = len(chosen(Independent(), scores, Progress(0, 4))) / 10_000
    assert rate == pytest.approx((1 - 1e-3) / 4, abs=0.02)


def test_the_last_step_is_the_one_that_none_follows():
    assert [Progress(i, 3).last for i in range(5)] == [False, False, True, True, True]


def test_a_decision_masks_nothing_again_unless_it_says_so():
    decision = Decision(torch.tensor([2, 0]))
    assert decision.remask.dtype == decision.commit.dtype
    assert decision.remask.tolist() == []


@pytest.mark.parametrize(
    ("rule", "scheduled", "drawn"),
    [
        (TopK(), True, False),
        (TopK(linear), True, False),
        (TopK(alg_temp=0.1), True, True),
        (Independent(), True, True),
        (Threshold(), False, False),
        (Factor(), False, False),
        (EntropyBound(), False, False),
    ],
)
def test_rules_say_what_must_be_known_of_them(rule, scheduled, drawn):
    """Whether they follow a schedule, and whether their choice depends on the seed."""
    assert (rule.asks, rule.scheduled, rule.drawn) == ("masks", scheduled, drawn)
    scores = [i / 64 for i in range(40)]
    choices = {tuple(chosen(rule, scores, Progress(5, 12), seed)) for seed in range(5)}
    assert (len(choices) > 1) == drawn
    lengths = {len(chosen(rule, scores, Progress(0, total))) for total in (1, 3, 40)}
    assert (len(lengths) > 1) == scheduled


def test_path_planning_masks_the_least_sure_positions_of_a_hole_again():
    """⌊5 · (1 - 1/2)⌋ = 2 of them after the first of two steps, none after the last; ties from left to right."""
    rule, masked = PathPlanning(), torch.tensor([True, False, True, False, True])
    scores = torch.tensor([0.9, 0.2, 0.1, 0.8, 0.2])
    first = rule(scores, masked, Progress(0, 2), torch.Generator())
    assert (first.commit.tolist(), first.remask.tolist()) == ([0, 4], [1])
    for index in (1, 2, 7):
        last = rule(scores, masked, Progress(index, 2), torch.Generator())
        assert (last.commit.tolist(), last.remask.tolist()) == ([0, 2, 4], [])


def test_a_single_schedule_commits_one():
    assert [single(masks, Progress(3, 4)) for masks in (1, 2, 50)] == [1, 1, 1]
