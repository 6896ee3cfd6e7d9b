"""The one loop: the reference's decodes token for token, and what holds of every run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import EntropyBound, Factor, Independent, Threshold, TopK, linear
from diffucli.decode.loop import denoise
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.predict import Full, Windowed, predictor
from diffucli.decode.sample import SURE, Rules, Sampling
from diffucli.events import Finished, Started, Stepped, fold

MASK, END = 12, 3
RULES = Rules(forbidden=(MASK,))
ORDERS = {"entropy": "entropy", "maskgit_plus": "confidence", "topk_margin": "margin"}
COMMITS = [TopK(), TopK(linear), TopK(alg_temp=0.5), Threshold(0.6), Factor(1.0), EntropyBound(0.5), Independent()]


@pytest.mark.parametrize("alg", ORDERS)
@pytest.mark.parametrize("strict", [False, True], ids=["no-rules", "mask-and-untrained-rows-forbidden"])
def test_exact_reproduces_every_reference_decode_with_the_step_of_every_commit(checkpoint, golden, alg, strict):
    words = checkpoint.tokenizer
    rules = Rules((words.mask,), words.vocab_size) if strict else Rules()
    decodes = [decode for decode in json.loads((golden / "golden-decodes.json").read_text()) if decode["alg"] == alg]
    assert len(decodes) >= 20
    for decode in decodes:
        prompt, length = decode["prompt"], decode["max_new_tokens"]
        hole = Span(len(prompt), len(prompt) + length)
        canvas = Canvas(torch.tensor([*prompt, *[0] * length]), [hole], mask=words.mask)
        policy = replace(PRESETS["exact"], steps=decode["steps"], sampling=Sampling(order=ORDERS[alg]))
        seen = predictor(checkpoint.network, cache=policy.cache, suffix=policy.suffix)
        events = list(denoise(canvas, seen, policy, rules))
        steps = {p: e.step - 1 for e in events if isinstance(e, Stepped) for p in e.positions}
        assert list(events[-1].tokens[len(prompt) :]) == decode["completion"]
        assert [steps[p] for p in range(hole.start, hole.stop)] == decode["step_committed"]


HOLES = (Span(3, 9), Span(12, 20))


def run(network, policy: Policy, holes=HOLES, length: int = 24, *, seen=None, rules: Rules = RULES):
    """The events of a run on a canvas with context on both sides, and the canvas."""
    tokens = torch.arange(length) % 11
    canvas = Canvas(tokens, holes, mask=MASK, ends=frozenset({END}) if policy.stop else frozenset())
    seen = seen or predictor(network, cache=policy.cache, suffix=policy.suffix)
    return list(denoise(canvas, seen, policy, rules)), canvas


policies = st.builds(
    Policy,
    commit=st.sampled_from(COMMITS),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 1.0]),
        top_p=st.sampled_from([0.5, 1.0]),
        order=st.sampled_from(["confidence", "margin", "entropy", "origin"]),
    ),
    steps=st.integers(1, 30) | st.none(),
    budget=st.integers(0, 30) | st.none(),
    block=st.integers(1, 30) | st.none(),
    cache=st.sampled_from(["none", "prefix", "dual"]),
    suffix=st.integers(0, 30) | st.none(),
    stop=st.booleans(),
    seed=st.integers(0, 2**32),
)
layouts = st.sampled_from([(Span(3, 9), Span(12, 20)), (Span(0, 24),), (Span(0, 1),), (Span(5, 24),), ()])


@given(policies, layouts, st.sampled_from([0, 1]))
def test_every_run_of_every_policy_keeps_the_loops_promises(fake, policy, holes, shift):
    network = fake(shift)
    events, canvas = run(network, policy, holes)
    started, steps, finished = events[0], events[1:-1], events[-1]
    assert isinstance(started, Started)
    assert all(isinstance(event, Stepped) for event in steps)
    assert isinstance(finished, Finished)
    # folding the events gives the final canvas
    assert fold(events) == finished.tokens == tuple(canvas.tokens.tolist())
    # one forward a step, and the budget is kept
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert finished.nfe == len(steps) == len(network.forwards)
    assert [event.nfe for event in steps] == [event.step for event in steps]
    assert policy.budget is None or finished.nfe <= policy.budget
    # context never changes, and nothing is written twice or outside its window
    written = [p for event in steps for p in event.positions]
    assert len(written) == len(set(written))
    for position, (before, after) in enumerate(zip(started.tokens, finished.tokens, strict=True)):
        inside = any(position in hole for hole in holes)
        assert before == (MASK if inside else position % 11)
        assert (after == MASK) == (inside and position not in written)
        assert inside or before == after
    for event in steps:
        assert all(p in Span(*event.window) for p in event.positions)
        assert event.positions == tuple(sorted(event.positions))
        assert len(event.positions) == len(event.tokens) == len(event.scores)
    assert [e.seconds for e in events[1:]] == sorted(e.seconds for e in events[1:])
    # the reason is the truth
    if canvas.masks_left:
        assert (finished.reason, finished.nfe) == ("budget", policy.budget)
    else:
        ended = policy.stop and any(finished.tokens[p] == END for p in written)
        assert finished.reason == ("end" if ended else "complete")
        assert ended or MASK not in finished.tokens


@pytest.mark.parametrize("budget", [0, 1, 5])
def test_a_budget_ends_a_run_with_masks_left(fake, budget):
    events, canvas = run(fake(), Policy(TopK(linear), budget=budget, stop=False))
    assert (events[-1].reason, events[-1].nfe, canvas.masks_left) == ("budget", budget, 14 - budget)


def test_a_budget_that_just_suffices_completes(fake):
    assert run(fake(), Policy(TopK(linear), budget=14, stop=False))[0][-1].reason == "complete"


class Script:
    """A predictor that wants `wanted[i]` at position i, and is surer the further left."""

    def __init__(self, wanted: dict[int, int]) -> None:
        self.wanted, self.asked, self.forwards = wanted, [], 0

    def __call__(self, canvas, window, positions):
        self.asked.append(positions.tolist())
        self.forwards += 1
        logits = torch.zeros(len(positions), 13)
        for row, position in enumerate(positions.tolist()):
            logits[row, self.wanted.get(position, 1)] = 20.0 - position / 10
        return logits


def test_a_closed_hole_is_no_longer_asked_for_and_the_other_goes_on():
    script = Script({5: END})
    events, _ = run(None, Policy(TopK(linear), sampling=Sampling(order="entropy")), seen=script)
    assert events[-1].reason == "end"
    assert events[-1].tokens[3:9] == (1, 1, END, MASK, MASK, MASK)
    assert events[-1].tokens[12:20] == (1,) * 8
    closing = next(i for i, event in enumerate(events[1:-1]) if END in event.tokens)
    assert all(max(p for p in asked if p < 12) == 8 for asked in script.asked[: closing + 1])
    assert all(min(asked) >= 12 for asked in script.asked[closing + 1 :])


def test_a_hole_is_not_closed_before_what_is_needed():
    """By position, whatever block it is written in."""
    rules = Rules((MASK,), ends=(END,), needed=frozenset(range(3, 7)))
    script = Script(dict.fromkeys(range(3, 9), END))
    events, _ = run(None, Policy(TopK(linear), block=3), seen=script, rules=rules)
    assert END not in events[-1].tokens[3:7]
    assert events[-1].tokens[7] == END


def test_a_block_behind_an_end_costs_no_forward():
    script = Script({4: END})
    events, _ = run(None, Policy(Threshold(0.5), block=2), seen=script, holes=(Span(3, 23),))
    assert events[-1].nfe == 1
    assert script.asked == [[3, 4]]


def test_without_stop_an_end_token_is_a_token():
    events, _ = run(None, Policy(Threshold(0.5), stop=False), seen=Script({4: END}))
    assert events[-1].reason == "complete"
    assert MASK not in events[-1].tokens


def test_ties_are_committed_leftmost_first(fake):
    policy = Policy(TopK(linear), sampling=Sampling(order="origin"), stop=False)
    events, _ = run(fake(), policy)
    assert [event.positions for event in events[1:-1]] == [(p,) for p in (*range(3, 9), *range(12, 20))]


@pytest.mark.parametrize("block", [None, 4])
def test_the_same_seed_writes_the_same_and_another_seed_does_not(fake, block):
    policy = Policy(Threshold(0.9), sampling=Sampling(temperature=1.0), block=block, stop=False, seed=1)
    first, again, other = (
        run(fake(), replace(policy, seed=seed), (Span(2, 75),), 80)[0][-1].tokens for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30))
def test_steps_are_shared_out_among_blocks_without_a_loss(length, steps, block):
    """As many as asked for, or one a block where that is more."""
    script = Script({})
    policy = Policy(TopK(), steps=steps, block=block, stop=False)
    events, canvas = run(None, policy, seen=script, holes=(Span(2, 2 + length),), length=70)
    blocks = len(list(canvas.blocks(block)))
    assert canvas.masks_left == 0
    assert steps <= events[-1].nfe <= steps + blocks
    if length % block == 0 and steps % blocks == 0:
        assert events[-1].nfe == steps


def test_blocks_are_written_from_left_to_right(fake):
    events, _ = run(fake(), Policy(Threshold(0.9), block=4, stop=False))
    seen = [event.window for event in events[1:-1]]
    assert seen == sorted(seen)
    assert len(set(seen)) == 4


def test_nothing_runs_before_the_first_pull_and_close_stops_the_run(fake):
    network = fake()
    canvas = Canvas(torch.zeros(9, dtype=torch.long), [Span(2, 9)], mask=MASK)
    events = denoise(canvas, Full(network), Policy(TopK(linear)), RULES)
    assert network.forwards == []
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Stepped)
    events.close()
    assert len(network.forwards) == 1
    assert canvas.masks_left == 6


def test_events_hold_plain_numbers(fake):
    for event in run(fake(), Policy(Threshold(0.5)))[0][1:-1]:
        assert {type(n) for n in (*event.positions, *event.tokens, *event.window, event.masks_left)} == {int}
        assert {type(score) for score in event.scores} == {float}


def test_cached_blocks_write_what_full_forwards_write_in_one_layer(fake):
    """The fake network has one layer, where the cache is exact."""
    policy = Policy(Threshold(0.9), block=5, stop=False)
    full, *cached = (run(fake(), replace(policy, cache=cache))[0][-1].tokens for cache in ("none", "prefix", "dual"))
    assert cached == [full, full]


def test_by_line_a_line_is_written_before_what_follows_its_end(fake):
    """Every token ends a line here, and nearly every proposal is sure."""
    network, bold = fake(), Policy(Threshold(0.01), stop=False)
    network.head *= 20
    events, _ = run(network, bold, rules=replace(RULES, line_ends=tuple(range(12))))
    sure = [[s >= SURE for s in event.scores] for event in events[1:-1]]
    assert sum(map(any, sure)) > 5
    assert all(not any(step) or step.index(True) == len(step) - 1 for step in sure)
    assert MASK not in events[-1].tokens
    assert len(events) > len(run(network, bold)[0])


def test_a_predictor_may_serve_a_second_run(fake):
    network, policy = fake(), Policy(Threshold(0.9), block=5, stop=False, cache="dual")
    shared = Windowed(network)
    first = run(network, policy, seen=shared)[0][-1].tokens
    assert run(network, policy, seen=shared)[0][-1].tokens == first
