"""Flags become a policy, and a flag that the preset cannot honour is an error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffucli.cli.options import Alg, Cache, Choice, Preset
from diffucli.cli.session import policy_of
from diffucli.decode.commit import Independent, TopK
from diffucli.decode.policy import PRESETS
from diffucli.errors import UsageError
from diffucli.model.cuda_graph import Recorder


@pytest.mark.parametrize("preset", list(Preset))
def test_without_flags_a_policy_is_its_preset(preset):
    assert policy_of(Choice(preset=preset, seed=0)) == PRESETS[preset]


def test_steps_are_the_schedule_of_exact_and_the_budget_of_others():
    assert policy_of(Choice(preset=Preset.exact, steps=7)).steps == 7
    assert policy_of(Choice(preset=Preset.fast, steps=7)).budget == 7


def test_flags_change_what_they_name():
    policy = policy_of(
        Choice(preset=Preset.exact, temperature=0.5, top_p=0.9, alg=Alg.margin, alg_temp=0.2, block=16, seed=3)
    )
    assert (policy.sampling.temperature, policy.sampling.top_p, policy.sampling.order) == (0.5, 0.9, "margin")
    assert isinstance(policy.commit, TopK)
    assert (policy.commit.alg_temp, policy.block, policy.seed) == (0.2, 16, 3)
    assert isinstance(policy_of(Choice(preset=Preset.exact, alg=Alg.origin)).commit, Independent)
    assert policy_of(Choice(block=0)).block is None
    assert policy_of(Choice(speculate=7)).speculate == 7
    assert policy_of(Choice(by_line=True)).by_line
    assert policy_of(Choice(cache=Cache.prefix)).cache == "prefix"
    assert policy_of(Choice(preset=Preset.exact, cache=Cache.dual)).cache == "dual"


def test_a_temperature_that_would_overflow_is_0():
    assert policy_of(Choice(temperature=1e-40)).sampling.temperature == 0.0
    assert policy_of(Choice(temperature=0.01)).sampling.temperature == 0.01


@pytest.mark.parametrize(
    "choice",
    [
        Choice(alg=Alg.margin),
        Choice(alg=Alg.origin),
        Choice(alg_temp=0.1),
        Choice(preset=Preset.exact, alg=Alg.origin, alg_temp=0.1),
        Choice(preset=Preset.exact, alg=Alg.origin, speculate=1),
        Choice(preset=Preset.exact, by_line=True),
        Choice(preset=Preset.exact, alg_temp=0.1, speculate=1),
        Choice(top_p=0.0),
        Choice(top_p=1.1),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_a_remedy(choice):
    with pytest.raises(UsageError) as refusal:
        policy_of(choice)
    assert refusal.value.hint


def test_a_seed_is_drawn_where_none_is_given():
    seeds = {policy_of(replace(Choice(), seed=None)).seed for _ in range(20)}
    assert len(seeds) > 1


def test_steps_that_cannot_be_replayed_are_told_of_once_with_v(diffu, checkpoint, monkeypatch):
    """Of a run that is written twice, as it does not parse the first time."""

    def fails(_):
        raise RuntimeError(why)

    def load(folder, **_):
        return replace(checkpoint, network=replace(checkpoint.network, recorder=Recorder(fails)))

    monkeypatch.setattr("diffucli.model.load.load", load)
    why = "operation not permitted when stream is capturing"
    line = f"steps are not replayed as a CUDA graph, so they are slower: {why}"
    done = diffu("gen", "x", "--length", "16", "-v")
    assert done.lines.count(line) == 1
    assert "writing it again with more care" in done.err
    assert line not in diffu("gen", "x", "--length", "16").err


@pytest.mark.parametrize("quiet", [["-q"], ["--json"]])
def test_on_a_terminal_the_view_is_drawn_and_for_the_quiet_it_is_not(diffu, says, monkeypatch, quiet):
    says("x = 1<|im_end|>")
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: True)
    assert "masks left" in diffu("gen", "x", "--length", "16").err
    assert diffu("gen", "x", "--length", "16", *quiet).err == ""
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: False)
    assert "masks left" not in diffu("gen", "x", "--length", "16").err
