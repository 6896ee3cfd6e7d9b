"""Where the time goes: the parts add up to all of it, and profiling changes no result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from diffucli.bench.profile import PARTS, Profile, _timed, findings, profiles
from diffucli.bench.speed import Work
from diffucli.bench.stopwatch import Stopwatch
from diffucli.bench.writers import FAST_DLLM, WRITING, Writer
from diffucli.decode.policy import PRESETS

if TYPE_CHECKING:
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint

GUESSING = replace(PRESETS["balanced"], speculate=2)
POLICIES = {**PRESETS, "dual-cache": FAST_DLLM, "speculating": GUESSING}


def test_shares_sum_to_one() -> None:
    seconds = dict(zip(PARTS, (6.0, 1.0, 2.0, 1.0), strict=True))
    parts = Profile("x", nfe=3, seconds=seconds).shares
    assert parts == pytest.approx({"network": 0.6, "sampling": 0.1, "bookkeeping": 0.2, "drawing": 0.1})


def test_the_table_and_the_values_have_a_share_for_every_part() -> None:
    found = findings([Profile("fast", nfe=3, seconds=dict(zip(PARTS, (6.0, 1.0, 2.0, 1.0), strict=True)))])
    header, _, row = found.text.splitlines()
    assert header == "| preset | network | sampling | bookkeeping | drawing |"
    assert row == "| fast   |   60.0% |    10.0% |       20.0% |   10.0% |"
    (values,) = found.values["profile"]  # type: ignore[misc]
    assert (values["name"], values["nfe"], list(values["shares"])) == ("fast", 3, list(PARTS))


def test_every_writer_spends_time_on_every_part(checkpoint: Checkpoint) -> None:
    writers = {name: Writer(checkpoint, policy, effort=WRITING) for name, policy in POLICIES.items()}
    found = list(profiles(writers, Work(["a", "b"], rounds=2, length=8)))
    assert [each.name for each in found] == list(writers)
    for each in found:
        assert tuple(each.seconds) == PARTS
        assert all(seconds > 0 for seconds in each.seconds.values())
        assert sum(each.shares.values()) == pytest.approx(1)
        assert each.nfe > 0
    assert found[0].nfe == 4 * 8, "the run before the others does not count"


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_profiled_run_is_the_same_run(checkpoint: Checkpoint, policy: Policy) -> None:
    writer = Writer(checkpoint, policy, effort=WRITING)
    ends = []
    for each in (writer, _timed(writer, Stopwatch())):
        *steps, final = each.answer("a stack class", length=24, verify="off")
        ends.append((len(steps), final.tokens, final.nfe))  # type: ignore[union-attr]
    assert ends[0] == ends[1]
