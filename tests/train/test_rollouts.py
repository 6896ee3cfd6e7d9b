"""Rollouts on the golden checkpoint: the pipeline's own texts, what is scored, and seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffucli.decode.commit import Threshold
from diffucli.decode.loop import alone
from diffucli.decode.policy import Policy
from diffucli.decode.sample import Sampling
from diffucli.errors import UsageError
from diffucli.tasks.engine import Effort
from diffucli.tasks.generate import Request, generate
from diffucli.train.rollouts import require_group, roll_out, seed_of
from diffucli.ui.live import pull

POLICY = Policy(Threshold(0.01), Sampling(temperature=1.0, tempered=False), block=32, cache="dual")
REQUESTS = [Request("write a function", length=24), Request("another one, of a longer request", length=24)]


def test_completions_are_what_the_pipeline_writes_and_end_with_the_first_end_token(checkpoint):
    found = roll_out(checkpoint, REQUESTS, POLICY, seeds=[3, 9], count=3)
    assert [len(group) for group in found] == [3, 3]
    ends = checkpoint.tokenizer.ends | checkpoint.tokenizer.fences
    effort = Effort(repair=0, doubt=False)
    for request, group, seed in zip(REQUESTS, found, (3, 9), strict=True):
        for i, one in enumerate(group):
            text = pull(
                alone(checkpoint.network, generate(checkpoint, request, replace(POLICY, seed=seed + i), effort=effort))
            )
            assert one.text == text.text
            assert len(one.span) == 24
            written = one.canvas[one.span.start : one.span.stop]
            assert ends.isdisjoint(written[: one.scored - 1])
            assert (one.scored == 24) or written[one.scored - 1] in ends
    assert len({one.canvas for group in found for one in group}) == 6


def test_a_seed_depends_on_all_of_its_parts():
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2)
    assert len({seed_of(1, "a", 2), seed_of(1, "a", 3), seed_of(1, "b", 2), seed_of(12, "a")}) == 4
    assert 0 <= seed_of("x") < 2**63


@pytest.mark.parametrize(
    ("count", "policy", "message"),
    [
        (1, POLICY, "a group of 1 has no advantages"),
        (99, POLICY, "a group of 99 is too large"),
        (4, replace(POLICY, sampling=Sampling()), "without a temperature all completions"),
    ],
)
def test_what_is_no_group_is_told(count, policy, message):
    with pytest.raises(UsageError, match=message):
        require_group(count, policy)
