"""Policies are values; the presets are what the documents say."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from diffucli.decode.commit import Threshold, TopK, dream
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.sample import Sampling


def test_exact_is_the_reference():
    """Whole canvas, Dream's schedule, every forward full, no early stop; reproduced in test_loop."""
    assert PRESETS["exact"] == Policy(TopK(dream, 0.0), Sampling(0.0, 1.0, "entropy"), stop=False)
    exact = PRESETS["exact"]
    assert (exact.block, exact.cache, exact.suffix, exact.budget, exact.steps) == (None, "none", None, None, None)


@pytest.mark.parametrize("name", ["balanced", "fast"])
def test_the_quick_presets_rank_by_the_confidence_that_their_threshold_compares(name):
    policy = PRESETS[name]
    assert isinstance(policy.commit, Threshold)
    assert policy.sampling.order == "confidence"
    assert policy.block
    assert policy.cache == "dual"
    assert policy.stop


def test_fast_is_bolder_than_balanced():
    assert PRESETS["fast"].commit.least < PRESETS["balanced"].commit.least


def test_a_number_of_guesses_is_not_negative():
    with pytest.raises(ValueError, match="speculate=-1"):
        Policy(Threshold(0.5), speculate=-1)


def test_a_policy_is_frozen_and_compares_by_value():
    policy = Policy(Threshold(0.5))
    with pytest.raises(FrozenInstanceError):
        policy.seed = 1
    assert replace(policy, seed=0) == policy
    assert replace(policy, seed=1) != policy
