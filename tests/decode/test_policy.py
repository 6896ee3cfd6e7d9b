"""Policies are values; the presets are what the documents say."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from diffucli.decode.commit import EntropyBound, Factor, Independent, Threshold, TopK, dream, linear
from diffucli.decode.policy import PRESETS, Policy, repair_policy
from diffucli.decode.sample import Sampling


def test_exact_is_the_reference():
    """Whole canvas, Dream's schedule, every forward full, no early stop; reproduced in test_loop."""
    assert PRESETS["exact"] == Policy(TopK(dream, 0.0), Sampling(0.0, 1.0, "entropy"), stop=False)
    exact = PRESETS["exact"]
    assert (exact.block, exact.cache, exact.budget, exact.steps) == (None, "none", None, None)
    assert exact.sampling.tempered, "scores are taken after the temperature, as published"


@pytest.mark.parametrize(("name", "threshold", "block"), [("balanced", 0.95, 32), ("fast", 0.9, 64)])
def test_the_quick_presets_commit_by_the_networks_own_confidence_as_the_page_says(name, threshold, block):
    """docs/decoding.md: a temperature would make every token look sure, so scores are taken before it."""
    assert PRESETS[name] == Policy(
        Threshold(threshold), Sampling(0.0, 1.0, "confidence", tempered=False), block=block, cache="dual", stop=True
    )


def test_the_other_bounds_have_presets_too():
    assert PRESETS["factor"] == replace(PRESETS["balanced"], commit=Factor(1.0))
    bound = PRESETS["entropy-bound"]
    assert (bound.commit, bound.sampling.order, bound.sampling.tempered) == (EntropyBound(0.1), "entropy", False)


@pytest.mark.parametrize("name", ["balanced", "fast", "factor", "entropy-bound"])
def test_a_repair_takes_the_likeliest_tokens_by_the_rule_that_wrote_the_text(name):
    """Neither a temperature nor guesses: a few masks in a text that stands. All else stays."""
    hot = replace(PRESETS[name].sampling, temperature=0.9, top_p=0.5)
    policy = replace(PRESETS[name], seed=5, speculate=3, by_line=True, sampling=hot)
    careful = repair_policy(policy)
    assert careful == replace(PRESETS[name], seed=5, by_line=True)


@pytest.mark.parametrize("commit", [TopK(dream), TopK(dream, 0.5), Independent()], ids=["dream", "drawn", "origin"])
def test_a_repair_follows_no_schedule_and_draws_no_order(commit):
    careful = repair_policy(replace(PRESETS["exact"], commit=commit, steps=9))
    assert (careful.commit, careful.steps) == (TopK(linear), None)
    assert not careful.commit.drawn


def test_nothing_is_repaired_where_a_budget_of_steps_was_given():
    assert repair_policy(replace(PRESETS["balanced"], budget=9)) is None
    assert repair_policy(replace(PRESETS["balanced"], budget=0)) is None
    assert repair_policy(PRESETS["balanced"]) is not None


def test_a_number_of_guesses_is_not_negative():
    with pytest.raises(ValueError, match="speculate=-1"):
        Policy(Threshold(0.5), speculate=-1)


def test_a_policy_is_frozen_and_compares_by_value():
    policy = Policy(Threshold(0.5))
    with pytest.raises(FrozenInstanceError):
        policy.seed = 1
    assert replace(policy, seed=0) == policy
    assert replace(policy, seed=1) != policy
