"""A recipe is a paper's way of writing, where nothing else is asked for."""

from __future__ import annotations

import pytest

from diffucli.errors import UsageError
from diffucli.eval.recipes import recipe
from diffucli.tasks.options import DecodingOptions


def test_the_paper_writes_one_token_a_step_by_entropy() -> None:
    policy = recipe("diffucoder-paper").options(DecodingOptions(seed=1)).policy()
    assert (policy.steps, policy.budget, policy.sampling.temperature, policy.sampling.top_p) == (256, None, 0.4, 0.95)
    assert policy.sampling.order == "entropy"
    assert policy.commit.scheduled


def test_what_is_asked_for_goes_before_it() -> None:
    options = recipe("diffucoder-paper").options(DecodingOptions(temperature=0.2, steps=64))
    assert (options.temperature, options.steps, options.top_p) == (0.2, 64, 0.95)


def test_an_unknown_one_is_told_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="there is no recipe 'x'") as caught:
        recipe("x")
    assert "diffucoder-paper" in caught.value.hint
