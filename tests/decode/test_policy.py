"""Policies are values; the presets are what the documents say."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from diffucli.decode.commit import EntropyBound, Factor, Threshold, TopK, dream, linear
from diffucli.decode.policy import PRESETS, RETRY_BLOCK, Policy, retry_policy
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
def test_a_text_is_written_again_one_token_a_step_in_short_blocks(name):
    """By confidence, whatever ranked before; all else stays."""
    policy = replace(PRESETS[name], seed=5, speculate=3, by_line=True)
    again = retry_policy(policy)
    assert (again.commit, again.block, RETRY_BLOCK) == (TopK(linear), 8, 8)
    assert (again.sampling.order, again.sampling.tempered, again.steps) == ("confidence", False, None)
    assert replace(again, commit=policy.commit, block=policy.block, sampling=policy.sampling) == policy


def test_a_text_is_not_written_again_where_the_number_of_steps_was_given():
    assert retry_policy(PRESETS["exact"]) is None
    assert retry_policy(replace(PRESETS["balanced"], budget=9)) is None
    assert retry_policy(replace(PRESETS["balanced"], budget=0)) is None


def test_a_number_of_guesses_is_not_negative():
    with pytest.raises(ValueError, match="speculate=-1"):
        Policy(Threshold(0.5), speculate=-1)


def test_a_policy_is_frozen_and_compares_by_value():
    policy = Policy(Threshold(0.5))
    with pytest.raises(FrozenInstanceError):
        policy.seed = 1
    assert replace(policy, seed=0) == policy
    assert replace(policy, seed=1) != policy
