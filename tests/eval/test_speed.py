"""Figures of a run: they count text alone, and add up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.commit import TopK, linear
from diffucli.decode.policy import PRESETS
from diffucli.eval.speed import Speed, measure

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

SPEED = Speed("balanced", requests=4, tokens=60, nfe=20, seconds=2.0, drawing=0.05, median=0.4)


def test_rates_follow_from_the_counts() -> None:
    assert SPEED.tokens_per_forward == 3
    assert SPEED.milliseconds_per_step == 100
    assert SPEED.tokens_per_second == 30
    assert SPEED.drawn == pytest.approx(0.025)


def test_every_policy_is_measured_on_every_request_and_round(checkpoint: Checkpoint) -> None:
    policies = {"one": PRESETS["balanced"], "all": replace(PRESETS["exact"], steps=1)}
    speeds = list(measure(checkpoint, policies, ["a", "b", "c"], rounds=2, length=12))
    assert [(speed.name, speed.requests) for speed in speeds] == [("one", 6), ("all", 6)]
    assert speeds[1].nfe == 6, "one forward a run: the run that warms up is not counted"
    assert all(speed.seconds > 0 and 0 < speed.median <= speed.seconds for speed in speeds)


def test_only_text_counts(checkpoint: Checkpoint) -> None:
    words = checkpoint.vocabulary
    policy = replace(PRESETS["exact"], commit=TopK(linear), steps=4)
    (speed,) = measure(checkpoint, {"x": policy}, ["a"], length=20)
    assert 0 < speed.tokens <= 20
    assert words.ends, "there are tokens that are no text"
