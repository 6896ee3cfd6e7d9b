"""Options become a policy, and an option that the preset cannot honour is an error."""

from __future__ import annotations

import typing

import pytest

from diffucli.decode.commit import Independent, PathPlanning, TopK, linear, single
from diffucli.decode.policy import PRESETS
from diffucli.errors import UsageError
from diffucli.tasks.options import DecodingOptions, Preset


def test_every_preset_can_be_named():
    assert set(typing.get_args(Preset)) == {*PRESETS, "published"}


@pytest.mark.parametrize("preset", PRESETS)
def test_without_options_a_policy_is_its_preset(preset):
    assert DecodingOptions(preset=preset, seed=0).policy() == PRESETS[preset]


def test_steps_are_the_schedule_of_exact_and_the_budget_of_others():
    exact, fast = (DecodingOptions(preset=preset, steps=7).policy() for preset in ("exact", "fast"))
    assert (exact.steps, exact.budget) == (7, None)
    assert (fast.steps, fast.budget) == (None, 7)


def test_options_change_what_they_name():
    policy = DecodingOptions(
        preset="exact", temperature=0.5, top_p=0.9, alg="margin", alg_temp=0.2, block=16, seed=3
    ).policy()
    assert (policy.sampling.temperature, policy.sampling.top_p, policy.sampling.order) == (0.5, 0.9, "margin")
    assert isinstance(policy.commit, TopK)
    assert (policy.commit.alg_temp, policy.block, policy.seed) == (0.2, 16, 3)
    assert isinstance(DecodingOptions(preset="exact", alg="origin").policy().commit, Independent)
    assert DecodingOptions(block=0).policy().block is None
    assert DecodingOptions(speculate=7).policy().speculate == 7
    assert DecodingOptions(by_line=True).policy().by_line
    assert DecodingOptions(cache="prefix").policy().cache == "prefix"
    assert DecodingOptions(preset="exact", cache="dual").policy().cache == "dual"


def test_a_temperature_that_would_overflow_is_0():
    assert DecodingOptions(temperature=1e-40).policy().sampling.temperature == 0.0
    assert DecodingOptions(temperature=1e-3).policy().sampling.temperature == 1e-3


NO_ORIGIN, ONE_OF_TWO = "add --preset exact, without --alg origin", "leave one of the two out"


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        (DecodingOptions(alg="margin"), "--alg margin ranks for a schedule, and", "add --preset exact"),
        (DecodingOptions(alg="origin"), "the preset balanced commits by confidence", "add --preset exact"),
        (DecodingOptions(alg_temp=0.1), "--alg-temp needs a ranked", NO_ORIGIN),
        (
            DecodingOptions(preset="exact", alg="origin", alg_temp=0.1),
            "--alg-temp needs",
            NO_ORIGIN,
        ),
        (
            DecodingOptions(preset="exact", alg="origin", speculate=1),
            "order that --alg origin draws",
            ONE_OF_TWO,
        ),
        (DecodingOptions(preset="exact", by_line=True), "sure, which exact cannot", "use balanced or fast"),
        (DecodingOptions(preset="entropy-bound", by_line=True), "which entropy-bound cannot", "use balanced or fast"),
        (DecodingOptions(preset="entropy-bound", alg="confidence"), "commits by entropy", "add --preset exact"),
        (
            DecodingOptions(preset="exact", alg_temp=0.1, speculate=1),
            "order that --alg-temp draws",
            ONE_OF_TWO,
        ),
        (DecodingOptions(preset="p2", alg_temp=0.1), "--alg-temp needs a ranked", NO_ORIGIN),
        (DecodingOptions(top_p=0.0), "--top-p 0 is no share", "give a number above 0, at most 1"),
        (DecodingOptions(top_p=1.1), "--top-p 1.1 is no share", "give a number above 0, at most 1"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_a_remedy(options, message, remedy):
    with pytest.raises(UsageError) as refusal:
        options.policy()
    assert message in refusal.value.message
    assert refusal.value.hint == remedy


def test_an_order_that_the_preset_has_anyway_is_no_conflict():
    assert DecodingOptions(alg="confidence", seed=0).policy() == PRESETS["balanced"]
    assert DecodingOptions(preset="entropy-bound", alg="entropy", seed=0).policy() == PRESETS["entropy-bound"]


def test_a_seed_is_drawn_where_none_is_given():
    assert len({DecodingOptions().policy().seed for _ in range(20)}) > 1


def test_published_is_each_familys_own(checkpoint_of):
    policies = {
        name: DecodingOptions(preset="published", seed=0).policy(checkpoint_of(name).family)
        for name in ("dreamon", "p2", "blockwise", "llada")
    }
    assert {name: policy.commit for name, policy in policies.items()} == {
        "dreamon": TopK(single),
        "p2": PathPlanning(),
        "blockwise": TopK(linear),
        "llada": TopK(linear),
    }
    assert (policies["dreamon"].sampling.temperature, policies["dreamon"].sampling.top_p) == (0.2, 0.9)
    assert (policies["blockwise"].block, policies["blockwise"].cache, policies["blockwise"].stop) == (4, "prefix", True)
    assert (policies["llada"].ends, policies["llada"].block, policies["llada"].stop) == ("never", None, False)


def test_published_settings_can_be_changed_and_may_be_missing(checkpoint, checkpoint_of):
    family = checkpoint_of("llada").family
    changed = DecodingOptions(preset="published", ends="late", block=8, temperature=0.5, steps=9).policy(family)
    assert (changed.ends, changed.block, changed.sampling.temperature, changed.steps) == ("late", 8, 0.5, 9)
    with pytest.raises(UsageError, match="nobody published settings for this model"):
        DecodingOptions(preset="published").policy(checkpoint.family)
    assert DecodingOptions(preset="published", seed=0).policy() == PRESETS["exact"], "before the model is known"


@pytest.mark.parametrize(
    ("options", "family", "message"),
    [
        (DecodingOptions(max_length=9), "llada", "--max-length is for models whose holes grow"),
        (DecodingOptions(expand_budget=9), "dream", "--expand-budget is for models whose holes grow"),
        (DecodingOptions(block=6), "blockwise", "--block 6 does not divide the 4 positions"),
        (DecodingOptions(block=8), "blockwise", "--block 8 does not divide"),
        (DecodingOptions(block=0), "blockwise", "--block 0 does not divide"),
    ],
)
def test_what_a_family_cannot_honour_is_refused(checkpoint_of, options, family, message):
    with pytest.raises(UsageError, match=message):
        options.policy(checkpoint_of(family).family)


def test_what_a_family_can_honour_is_in_the_policy(checkpoint_of):
    grown = DecodingOptions(max_length=9, expand_budget=3).policy(checkpoint_of("dreamon").family)
    assert (grown.max_length, grown.expand_budget) == (9, 3)
    assert DecodingOptions(block=2).policy(checkpoint_of("blockwise").family).block == 2
