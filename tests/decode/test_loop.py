"""The one loop: the reference's decodes token for token, what holds of every run, and runs that go on together."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.decode import loop
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Decision, Threshold, TopK, linear
from diffucli.decode.loop import Driver, Returned, alone, denoise, schedule, together
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.predict import Answer
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import SURE_LINE_END, Constraints, Sampling
from diffucli.decode.speculate import speculate
from diffucli.errors import NoRoom
from diffucli.events import Finished, Resized, Started, Stepped, fold

MASK, END = 12, 3
HOLES = (Span(3, 9), Span(12, 20))
CONSTRAINTS = Constraints(forbidden=(MASK,))
ORDERS = {"entropy": "entropy", "maskgit_plus": "confidence", "topk_margin": "margin"}


@pytest.mark.parametrize("alg", ORDERS)
@pytest.mark.parametrize("strict", [False, True], ids=["no-rules", "mask-and-untrained-rows-forbidden"])
def test_exact_reproduces_every_reference_decode_with_the_step_of_every_commit(checkpoint, golden, alg, strict):
    vocabulary = checkpoint.tokenizer
    constraints = Constraints((vocabulary.mask,), vocabulary.vocab_size) if strict else Constraints()
    decodes = [decode for decode in json.loads((golden / "golden-decodes.json").read_text()) if decode["alg"] == alg]
    assert len(decodes) >= 20
    for decode in decodes:
        given_tokens, length = decode["prompt"], decode["max_new_tokens"]
        hole = Span(len(given_tokens), len(given_tokens) + length)
        canvas = Canvas([*given_tokens, *[0] * length], [hole], mask=vocabulary.mask)
        policy = replace(PRESETS["exact"], steps=decode["steps"], sampling=Sampling(order=ORDERS[alg]))
        events = list(alone(checkpoint.network, denoise(canvas, policy, constraints)))
        steps = {p: e.step - 1 for e in events if isinstance(e, Stepped) for p in e.positions}
        assert list(events[-1].tokens[len(given_tokens) :]) == decode["completion"]
        assert [steps[p] for p in range(hole.start, hole.stop)] == decode["step_committed"]


def run(network, policy: Policy, holes=HOLES, length: int = 24, *, constraints: Constraints = CONSTRAINTS):
    """The events of a run on a canvas with context on both sides, and the canvas."""
    ends = frozenset({END}) if policy.stop else frozenset()
    canvas = Canvas(torch.arange(length) % 11, holes, mask=MASK, ends=ends)
    return list(alone(network, denoise(canvas, policy, constraints))), canvas


def steps_of(events) -> list[Stepped]:
    return [event for event in events if isinstance(event, Stepped)]


@given(st.sampled_from([0, 1]), st.data())
def test_every_run_of_every_policy_keeps_the_loops_promises(fake, kit, shift, data):
    network = fake(shift)
    policy = replace(data.draw(kit.POLICIES), speculate=0)
    request = kit.Request(policy, data.draw(st.sampled_from(kit.LAYOUTS)))
    canvas = request.canvas()
    events = list(alone(network, request.run(canvas)))
    started, steps, finished = events[0], events[1:-1], events[-1]
    assert isinstance(started, Started)
    assert all(isinstance(event, Stepped) for event in steps)
    assert isinstance(finished, Finished)
    # folding the events gives the final canvas, and its holes are told
    assert fold(events) == finished.tokens == tuple(canvas.tokens.tolist())
    assert started.holes == finished.holes == canvas.spans
    # one forward a step, and the budget is kept
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert finished.nfe == len(steps) == len(network.forwards)
    assert [event.nfe for event in steps] == [event.step for event in steps]
    assert policy.budget is None or len(steps) <= policy.budget
    # context never changes, only masks are written and only what is written is masked again, all inside its window
    now = list(started.tokens)
    for event in steps:
        window = Span(*event.window)
        assert all(p in window for p in (*event.positions, *event.remasked))
        assert event.positions == tuple(sorted(event.positions))
        assert len(event.positions) == len(event.tokens) == len(event.scores)
        assert all(now[p] != MASK for p in event.remasked)
        for position in event.remasked:
            now[position] = MASK
        assert all(now[p] == MASK for p in event.positions)
        for position, token in zip(event.positions, event.tokens, strict=True):
            now[position] = token
        assert event.masks_left == len(open_masks(now, request))
    for position, (before, after) in enumerate(zip(started.tokens, finished.tokens, strict=True)):
        inside = any(position in hole for hole in request.holes)
        assert before == (MASK if inside else position % 11)
        assert inside or before == after
    assert [e.seconds for e in events[1:]] == sorted(e.seconds for e in events[1:])
    # the reason is the truth
    if canvas.masks_left:
        assert (finished.reason, len(steps)) == ("budget", policy.budget)
    else:
        ended = policy.stop and any(finished.tokens[p] == END for hole in request.holes for p in positions_of(hole))
        assert finished.reason == ("end" if ended else "complete")
        assert ended or MASK not in finished.tokens


def positions_of(hole: Span) -> range:
    return range(hole.start, hole.stop)


def open_masks(tokens: list[int], request) -> list[int]:
    """The masks in front of the first end of each hole."""
    found = []
    for hole in request.holes:
        text = tokens[hole.start : hole.stop]
        head = text[: text.index(END)] if END in text and request.policy.stop else text
        found += [hole.start + i for i, token in enumerate(head) if token == MASK]
    return found


# Budgets and other ends


@pytest.mark.parametrize("budget", [0, 1, 5])
def test_a_budget_ends_a_run_with_masks_left(fake, budget):
    events, canvas = run(fake(), Policy(TopK(linear), budget=budget, stop=False))
    assert (events[-1].reason, events[-1].nfe, canvas.masks_left) == ("budget", budget, 14 - budget)


def test_a_budget_that_just_suffices_completes(fake):
    assert run(fake(), Policy(TopK(linear), budget=14, stop=False))[0][-1].reason == "complete"


@pytest.mark.parametrize("count", [1, 3])
def test_a_budget_counts_steps_so_that_guesses_and_company_do_not_change_a_text(fake, kit, count):
    policy = Policy(TopK(linear), budget=7, stop=False)
    alone_, _ = run(fake(), policy)
    request = kit.Request(replace(policy, speculate=count))
    for events in (
        list(alone(fake(), request.run())),
        [event for i, event in together(fake(), [request.run() for _ in range(5)]) if i == 3][:-1],
    ):
        assert kit.told(events) == kit.told(alone_)
        assert len(steps_of(events)) == 7


@pytest.mark.parametrize("steps", [None, 5, 40])
@pytest.mark.parametrize("block", [None, 4])
def test_a_rule_that_gets_nowhere_ends_by_the_step_limit(fake, kit, steps, block):
    """With masks or without: whatever it leaves is told."""
    limit = 4 * 14 + (steps or 0)
    for rule in (kit.Sisyphus(), Stuck()):
        events, canvas = run(fake(), Policy(rule, steps=steps, block=block, stop=False))
        assert (len(steps_of(events)), events[-1].reason) == (limit, "budget")
        assert canvas.masks_left > 0
        assert fold(events) == events[-1].tokens == tuple(canvas.tokens.tolist())


@dataclass(frozen=True)
class Stuck:
    """Masks everything again in every step and writes nothing."""

    asks: ClassVar = "hole"
    scheduled: ClassVar = False
    drawn: ClassVar = False

    def __call__(self, scores, masked, progress, rng) -> Decision:
        return Decision(torch.empty(0, dtype=torch.long), (~masked).nonzero()[:, 0])


@given(st.integers(0, 2**32), st.sampled_from(["none", "prefix", "dual"]), st.integers(1, 9) | st.none())
def test_a_run_that_masks_again_ends_by_its_schedule(fake, kit, seed, cache, block):
    policy = Policy(kit.Restless(), block=block, cache=cache, seed=seed, stop=False)
    events, canvas = run(fake(), policy)
    assert events[-1].reason == "complete"
    assert canvas.masks_left == 0
    assert len(steps_of(events)) <= 14
    assert fold(events) == events[-1].tokens


class Script:
    """A network that wants `wanted[i]` at position i, and is surer the further left. It has no shift.

    asked: the positions of each forward of one canvas.
    """

    shift, block = 0, None

    def __init__(self, wanted: dict[int, int] | None = None, vocab: int = 13) -> None:
        self.wanted, self.vocab = wanted or {}, vocab
        self.asked: list[list[int]] = []

    def new_cache(self, slots, longest, *, old=None):
        return None

    def copy_slot(self, cache, source, target):
        pass

    def __call__(self, tokens, rows, *, starts=(), cache=None, lengths=()):
        (positions,) = [each + start for each, start in zip(rows, starts or [0], strict=True)]
        self.asked.append(positions.tolist())
        logits = torch.zeros(len(positions), self.vocab)
        for row, position in enumerate(positions.tolist()):
            logits[row, self.wanted.get(position, 1)] = 20.0 - position / 10
        return logits


def test_a_closed_hole_is_no_longer_asked_for_and_the_other_goes_on():
    script = Script({5: END})
    events, _ = run(script, Policy(TopK(linear), sampling=Sampling(order="entropy")))
    assert events[-1].reason == "end"
    assert events[-1].tokens[3:9] == (1, 1, END, MASK, MASK, MASK)
    assert events[-1].tokens[12:20] == (1,) * 8
    closing = next(i for i, event in enumerate(steps_of(events)) if END in event.tokens)
    assert all(max(p for p in asked if p < 12) == 8 for asked in script.asked[: closing + 1])
    assert all(min(asked) >= 12 for asked in script.asked[closing + 1 :])


def test_a_hole_is_not_closed_before_what_is_needed():
    """By position, whatever block it is written in."""
    constraints = Constraints((MASK,), ends=(END,), min_tokens=(4, 0))
    script = Script(dict.fromkeys(range(3, 9), END))
    events, _ = run(script, Policy(TopK(linear), block=3), constraints=constraints)
    assert END not in events[-1].tokens[3:7]
    assert events[-1].tokens[7] == END


def test_a_block_behind_an_end_costs_no_forward():
    script = Script({4: END})
    events, _ = run(script, Policy(Threshold(0.5), block=2), holes=(Span(3, 23),))
    assert events[-1].nfe == 1
    assert script.asked == [[3, 4]]


def test_without_stop_an_end_token_is_a_token():
    events, _ = run(Script({4: END}), Policy(Threshold(0.5), stop=False))
    assert events[-1].reason == "complete"
    assert MASK not in events[-1].tokens


def test_a_rule_that_asks_for_the_hole_sees_what_is_written_too(fake):
    """And which positions are masks; what lies between holes is not asked for."""
    seen = []

    @dataclass(frozen=True)
    class Watching(Stuck):
        def __call__(self, scores, masked, progress, rng):
            seen.append((len(scores), masked.tolist()))
            return Decision(masked.nonzero()[:1, 0])

    script = Script()
    events, _ = run(script, Policy(Watching(), stop=False))
    assert all(asked == [*range(3, 9), *range(12, 20)] for asked in script.asked)
    assert seen == [(14, [False] * i + [True] * (14 - i)) for i in range(14)]
    assert events[-1].reason == "complete"


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


# The schedule


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30))
def test_steps_are_shared_out_among_blocks_without_a_loss(length, steps, block):
    """Exactly by the masks of each: a block gets ⌊steps · masks so far / all⌋ less what those before it got."""
    policy = Policy(TopK(), steps=steps, block=block, stop=False)
    events, canvas = run(Script(), policy, holes=(Span(2, 2 + length),), length=70)
    blocks = list(canvas.blocks(block))
    edges = [steps * (b.start - 2) // length for b in blocks] + [steps]
    shares = [max(after - before, 1) for before, after in pairwise(edges)]
    taken = defaultdict(int)
    for event in steps_of(events):
        taken[event.window] += 1
    assert [taken[b.start, b.stop] for b in blocks] == shares
    assert canvas.masks_left == 0
    assert steps <= len(steps_of(events)) <= steps + len(blocks)


def test_uneven_blocks_share_the_steps_exactly():
    """Two holes of 6 and 8 masks, blocks of 5: windows of 5, 1 + 8 apart, so 5, 1, 5 and 3 masks."""
    events, _ = run(Script(), Policy(TopK(), steps=28, block=5, stop=False))
    windows = [event.window for event in steps_of(events)]
    assert {window: windows.count(window) for window in windows} == {(3, 8): 10, (8, 9): 2, (12, 17): 10, (17, 20): 6}
    assert len(windows) == 28


def test_without_a_number_of_steps_there_is_one_for_each_mask():
    events, _ = run(Script(), Policy(TopK(linear), block=5, stop=False))
    assert [event.window for event in steps_of(events)] == [
        *[(3, 8)] * 5,
        (8, 9),
        *[(12, 17)] * 5,
        *[(17, 20)] * 3,
    ]


def test_blocks_are_written_from_left_to_right(fake):
    events, _ = run(fake(), Policy(Threshold(0.9), block=4, stop=False))
    seen = [event.window for event in events[1:-1]]
    assert seen == sorted(seen)
    assert len(set(seen)) == 4


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_what_is_masked_again_behind_the_window_is_written_again(fake, cache):
    """By whoever holds the canvas; a block that is visited again gets a schedule for the masks it has then."""
    policy = Policy(TopK(linear), block=4, cache=cache, stop=False)
    canvas = Canvas(torch.arange(24) % 11, [Span(3, 19)], mask=MASK)
    windows = []
    for event in alone(fake(), denoise(canvas, policy, CONSTRAINTS)):
        if isinstance(event, Stepped):
            windows.append(event.window)
            if event.step == 10:
                canvas.remask([4, 5, 8])
    assert (
        windows
        == [*[(3, 7)] * 4, *[(7, 11)] * 4, *[(11, 15)] * 2, *[(3, 7)] * 2, (7, 11), *[(11, 15)] * 2] + [(15, 19)] * 4
    )
    assert canvas.masks_left == 0
    assert event.reason == "complete"


def test_a_schedule_goes_on_where_masks_open_again_in_the_same_window():
    canvas = Canvas(torch.zeros(6, dtype=torch.long), [Span(1, 5)], mask=MASK)
    places = []
    for window, progress in schedule(canvas, Policy(TopK(linear), steps=3)):
        places.append((window, progress.index, progress.total))
        canvas.commit(canvas.open_masks(window).tolist(), [1] * canvas.masks_left)
        if len(places) < 3:
            canvas.remask([2])
    assert places == [(Span(1, 5), index, 3) for index in range(3)]


def test_a_canvas_without_masks_is_finished_at_once(fake):
    network = fake()
    events, _ = run(network, Policy(TopK(linear)), holes=())
    assert [type(event) for event in events] == [Started, Finished]
    assert (events[-1].reason, events[-1].nfe, network.forwards) == ("complete", 0, [])


# What is told


def test_nothing_runs_before_the_first_pull_and_close_stops_the_run(fake):
    network = fake()
    canvas = Canvas(torch.zeros(9, dtype=torch.long), [Span(2, 9)], mask=MASK)
    inner = denoise(canvas, Policy(TopK(linear)), CONSTRAINTS)
    events = alone(network, inner)
    assert network.forwards == []
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Stepped)
    events.close()
    assert len(network.forwards) == 1
    assert canvas.masks_left == 6
    assert inner.gi_frame is None, "the run itself is closed too"


def test_events_hold_plain_numbers(fake):
    for event in run(fake(), Policy(Threshold(0.5)))[0][1:-1]:
        assert {type(n) for n in (*event.positions, *event.tokens, *event.window, event.masks_left)} == {int}
        assert {type(score) for score in event.scores} == {float}


def test_seconds_are_those_since_the_run_began(fake, monkeypatch):
    """Of the clock, whoever was waited for."""
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now.time))
    seen = []
    for event in alone(fake(), denoise(Canvas(range(4), [Span(1, 3)], mask=MASK), Policy(TopK(linear)), CONSTRAINTS)):
        seen.append(getattr(event, "seconds", None))
        now.time += 10
    assert seen == [None, 10.0, 20.0, 30.0]


def test_cached_blocks_write_what_full_forwards_write_in_one_layer(fake):
    """The fake network has one layer, where the cache is exact."""
    policy = Policy(Threshold(0.9), block=5, stop=False)
    wanted, *cached = (run(fake(), replace(policy, cache=cache))[0][-1].tokens for cache in ("none", "prefix", "dual"))
    assert cached == [wanted, wanted]


def test_by_line_a_line_is_written_before_what_follows_its_end(fake):
    """Every token ends a line here, and nearly every proposal is sure."""
    network, bold = fake(), Policy(Threshold(0.01), stop=False)
    network.head *= 20
    events, _ = run(network, bold, constraints=replace(CONSTRAINTS, line_ends=torch.arange(12)))
    sure = [[s >= SURE_LINE_END for s in event.scores] for event in events[1:-1]]
    assert sum(map(any, sure)) > 5
    assert all(not any(step) or step.index(True) == len(step) - 1 for step in sure)
    assert MASK not in events[-1].tokens
    assert len(events) > len(run(network, bold)[0])


# Holes that grow and shrink

EXPAND, DELETE = 10, 9


def resizing(network, policy: Policy, holes=HOLES, *, longest: int = 40, budget: int = 8):
    found = Resizing(EXPAND, frozenset({DELETE}), longest, budget)
    return run(network, policy, holes, constraints=replace(CONSTRAINTS, resizing=found))


def test_an_expand_token_becomes_two_masks_and_a_delete_token_goes_away():
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, budget=3)
    events, canvas = resizing(Script({3: EXPAND, 4: DELETE}), policy)
    told = [event for event in events if isinstance(event, Stepped | Resized)]
    step, grown, shrunk = told[:3]
    assert (step.positions, step.tokens) == ((3,), (EXPAND,))
    assert (grown.position, grown.delta, grown.holes, grown.masks_left) == (3, 2, ((3, 11), (14, 22)), 15)
    assert (shrunk.position, shrunk.delta, shrunk.holes, shrunk.masks_left) == (5, -1, ((3, 10), (13, 21)), 15)
    assert fold(events) == tuple(canvas.tokens.tolist())
    assert canvas.spans == events[-1].holes


def test_deleted_positions_go_away_one_by_one():
    events, canvas = resizing(Script({4: DELETE}), Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False))
    assert events[-1].tokens == (0, 1, 2, 1, 9, 10, 0, *(1,) * 8, 9, 10, 0, 1), "the hole shrank to its first token"
    assert events[-1].holes == ((3, 4), (7, 15)) == canvas.spans
    assert events[-1].reason == "complete"


@pytest.mark.parametrize("commit", [TopK(linear), Threshold(0.1), Threshold(0.9)])
@pytest.mark.parametrize(("longest", "budget"), [(24, 8), (27, 8), (40, 3), (40, 0), (23, 5)])
def test_a_canvas_grows_no_longer_and_no_more_often_than_it_may(commit, longest, budget):
    """Also where several positions of one step would grow."""
    eager = Script(dict.fromkeys(range(50), EXPAND))
    events, canvas = resizing(eager, Policy(commit, stop=False), longest=longest, budget=budget)
    grown = [event for event in events if isinstance(event, Resized) and event.delta > 0]
    assert len(grown) == max(min(longest - 24, budget), 0)
    assert len(canvas) == 24 + len(grown)
    assert events[-1].reason == "complete"
    assert EXPAND not in canvas.tokens[canvas.writable(Span(0, len(canvas)))]


@given(
    st.lists(st.sampled_from([1, 2, EXPAND, DELETE, END]), min_size=60, max_size=60),
    st.sampled_from([TopK(linear), Threshold(0.1), Threshold(0.9)]),
    st.sampled_from(["none", "prefix", "dual"]),
    st.integers(1, 9) | st.none(),
    st.booleans(),
)
def test_runs_that_resize_keep_the_loops_promises(wanted, commit, cache, block, stop):
    network = Script(dict(enumerate(wanted)))
    events, canvas = resizing(network, Policy(commit, cache=cache, block=block, stop=stop), longest=30)
    assert fold(events) == events[-1].tokens == tuple(canvas.tokens.tolist())
    assert events[-1].holes == canvas.spans
    resized = [event for event in events if isinstance(event, Resized)]
    assert len(canvas) == 24 + sum(event.delta for event in resized) <= 30
    assert all(event.holes[0][0] == 3 for event in resized)
    (_, a), (b, c) = canvas.spans
    context = (torch.arange(24) % 11).tolist()
    assert (*canvas.tokens[:3], *canvas.tokens[a:b], *canvas.tokens[c:]) == tuple(
        context[:3] + context[9:12] + context[20:]
    )
    assert events[-1].reason in {"complete", "end"}
    assert canvas.masks_left == 0


# Runs that go on together


@pytest.mark.parametrize("shift", [0, 1])
@settings(max_examples=25)
@given(st.data())
def test_any_runs_write_together_what_each_writes_alone(fake, kit, shift, data):
    """Whenever they join and leave; who stays to the end is not changed by who left."""
    requests = data.draw(st.lists(kit.requests(), min_size=1, max_size=8))
    joins = [data.draw(st.integers(0, 12)) for _ in requests]
    leaves = [data.draw(st.none() | st.integers(0, 12)) for _ in requests]
    network = fake(shift)
    driver: Driver[Finished] = Driver(network)
    numbers: dict[int, int] = {}
    told: dict[int, list] = defaultdict(list)
    results: dict[int, Finished] = {}
    time = 0
    while driver.running or time <= max(joins):
        for i, request in enumerate(requests):
            if joins[i] == time:
                numbers[i] = driver.add(request.run())
            if leaves[i] is not None and joins[i] + leaves[i] == time:
                driver.remove(numbers[i])
        places = {number: i for i, number in numbers.items()}
        for number, event in driver.step():
            if isinstance(event, Returned):
                results[places[number]] = event.result
            else:
                told[places[number]].append(event)
        time += 1
    assert driver.forwards == len(network.forwards)
    for i, request in enumerate(requests):
        wanted = list(alone(fake(shift), request.run()))
        if i in results:
            assert kit.told(told[i]) == kit.told(wanted)
            assert results[i] == told[i][-1]
            assert results[i].nfe <= wanted[-1].nfe + 1e-9, "company never costs more"
        else:
            assert leaves[i] is not None
            assert kit.told(told[i]) == kit.told(wanted)[: len(told[i])]
    if len(results) == len(requests):
        assert sum(final.nfe for final in results.values()) == pytest.approx(driver.forwards)


@given(st.data())
@settings(max_examples=15)
def test_a_run_that_is_removed_in_the_middle_of_a_step_changes_nobody(fake, kit, data):
    """By the consumer, at any of its events or another's."""
    requests = data.draw(st.lists(kit.requests(), min_size=2, max_size=4))
    driver: Driver[Finished] = Driver(fake())
    for request in requests:
        driver.add(request.run())
    told: dict[int, list] = defaultdict(list)
    victim, at, seen = data.draw(st.integers(0, len(requests) - 1)), data.draw(st.integers(1, 30)), 0
    while driver.running:
        for number, event in driver.step():
            told[number].append(event)
            seen += 1
            if seen == at:
                driver.remove(victim)
    for number, request in enumerate(requests):
        wanted = kit.told(list(alone(fake(), request.run())))
        found = kit.told([event for event in told[number] if not isinstance(event, Returned)])
        assert found == (wanted if number != victim else wanted[: len(found)])


def test_what_a_run_asked_before_it_was_removed_is_not_evaluated(fake, kit):
    """It had asked already when another's event made the consumer remove it."""
    network, policy = fake(), Policy(TopK(linear), cache="dual", stop=False)
    driver: Driver[Finished] = Driver(network)
    for length in (24, 30):
        driver.add(kit.Request(policy, (Span(2, 20),), length).run())
    for number, _ in driver.step():
        if number == 1:
            driver.remove(0)
    assert network.forwards == [(1, 30)]
    assert list(driver._predictor._slots) == [(1,)]


@pytest.mark.parametrize("name", ["exact", "balanced", "fast", "factor", "entropy-bound"])
def test_eight_equal_runs_cost_the_forwards_of_one(fake, kit, name):
    network, request = fake(), kit.Request(PRESETS[name], (Span(2, 60),), 64)
    *_, single = alone(fake(), request.run())
    finals = [e.result for _, e in together(network, [request.run() for _ in range(8)]) if isinstance(e, Returned)]
    assert len(network.forwards) == single.nfe
    assert [final.tokens for final in finals] == [single.tokens] * 8
    assert [final.nfe for final in finals] == [pytest.approx(single.nfe / 8)] * 8


def test_seeds_are_each_runs_own(fake, kit):
    policy = Policy(Threshold(0.9), sampling=Sampling(temperature=1.0), stop=False)
    requests = [kit.Request(replace(policy, seed=seed)) for seed in (1, 2, 1)]
    finals = [e.result for _, e in together(fake(), [r.run() for r in requests]) if isinstance(e, Returned)]
    texts = [final.tokens for final in finals]
    assert len(set(texts)) == 2


def test_a_driver_tells_who_runs(fake, kit):
    driver: Driver[Finished] = Driver(fake())
    request = kit.Request(Policy(TopK(linear), stop=False))
    assert [driver.add(request.run()) for _ in range(3)] == [0, 1, 2]
    list(driver.step())
    driver.remove(1)
    driver.remove(1)  # once more is nothing
    assert driver.running == (0, 2)
    assert driver.add(request.run()) == 3, "numbers are not used twice"
    while driver.running:
        list(driver.step())
    assert list(driver.step()) == []


def test_a_removed_run_is_closed_and_its_slot_is_free(fake, kit):
    driver: Driver[Finished] = Driver(fake())
    inner = kit.Request(Policy(TopK(linear), cache="dual")).run()
    number = driver.add(inner)
    list(driver.step())
    driver.remove(number)
    assert inner.gi_frame is None
    assert not driver._predictor._slots
    assert not driver._predictor._cached


def test_together_tells_the_result_of_each_and_closes_all_when_it_is_closed(fake, kit):
    runs = [kit.Request(Policy(TopK(linear))).run() for _ in range(3)]
    events = together(fake(), runs)
    assert [next(events)[0] for _ in range(3)] == [0, 1, 2]
    events.close()
    assert all(run.gi_frame is None for run in runs)


def result_of(events) -> Any:
    """What a generator returns, when all it yields was pulled."""
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


def test_a_run_may_return_whatever_it_likes(fake, kit):
    """Its driver passes that on: here a run that writes a canvas twice."""

    def twice():
        request = kit.Request(Policy(TopK(linear)))
        first = yield from request.run()
        second = yield from request.run()
        return first.tokens == second.tokens

    events = alone(fake(), twice())
    assert result_of(events) is True


def test_an_error_of_a_run_reaches_the_consumer_and_closes_the_others(fake, kit):
    def broken():
        yield Started((), MASK, ())
        raise ValueError("broken")

    other = kit.Request(Policy(TopK(linear))).run()
    with pytest.raises(ValueError, match="broken"):
        list(together(fake(), [other, broken()]))
    assert other.gi_frame is None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_sampling_that_runs_out_of_memory_is_said(fake, error):
    def sampling():
        yield Finished((), "complete", 0, 0.0)
        raise error

    run_ = alone(fake(), sampling())
    next(run_)
    with pytest.raises(NoRoom, match="ran out of memory for this canvas") as caught:
        next(run_)
    assert "--length" in caught.value.hint


def test_a_query_needs_an_answer():
    inner = denoise(Canvas(range(3), [Span(1, 2)], mask=MASK), Policy(TopK(linear)), CONSTRAINTS)
    next(inner)
    next(inner)
    with pytest.raises(AssertionError, match="a driver answers"):
        inner.send(None)


def test_a_run_can_be_driven_by_hand(fake, everywhere):
    """Without a driver: it asks, and is sent logits."""
    network = fake()
    inner = denoise(Canvas(torch.arange(9), [Span(2, 6)], mask=MASK), Policy(TopK(linear), stop=False), CONSTRAINTS)
    events: list[Any] = []

    def answered():
        item = next(inner)
        while True:
            if isinstance(item, tuple):
                (query,) = item
                item = inner.send(Answer((everywhere(network, query.tokens)[query.positions],), 0.25))
            else:
                events.append(item)
                try:
                    item = next(inner)
                except StopIteration as stop:
                    return stop.value
            yield

    assert result_of(answered()) is events[-1]
    assert [event.nfe for event in events[1:]] == [0.25, 0.5, 0.75, 1.0, 1.0]


# Together on real networks


TOGETHER = {
    "exact": PRESETS["exact"],
    "balanced": replace(PRESETS["balanced"], block=8),
    "prefix": replace(PRESETS["balanced"], block=8, cache="prefix"),
    "whole": replace(PRESETS["fast"], block=None, cache="none"),
    "guesses": replace(PRESETS["balanced"], block=8, speculate=3),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_on_the_golden_checkpoint_runs_write_together_what_each_writes_alone(checkpoint, name):
    """Rows of a batch differ from single ones by rounding, which is less than what decides here."""
    policy, vocabulary = TOGETHER[name], checkpoint.tokenizer
    constraints = Constraints((vocabulary.mask,), vocabulary.vocab_size)
    layouts = [(30, Span(6, 24)), (41, Span(9, 40)), (30, Span(10, 30)), (18, Span(3, 12)), (33, Span(20, 33))]

    def runs():
        for i, (length, hole) in enumerate(layouts):
            canvas = Canvas(torch.arange(i, i + length), [hole], mask=vocabulary.mask)
            inner = denoise(canvas, policy, constraints)
            yield speculate(inner, policy) if policy.speculate else inner

    found = [
        e.result for _, e in sorted(together(checkpoint.network, runs()), key=lambda e: e[0]) if isinstance(e, Returned)
    ]
    for final, inner in zip(found, runs(), strict=True):
        *_, wanted = alone(checkpoint.network, inner)
        assert final.tokens == wanted.tokens
    assert sum(final.nfe for final in found) < sum(len(hole) for _, hole in layouts)


REQUESTS = ("write a quicksort", "check whether a string is a palindrome", "a stack class", "merge two dictionaries")


@pytest.mark.parametrize(
    "policy",
    [
        PRESETS["balanced"],
        replace(PRESETS["balanced"], cache="prefix", block=16),
        replace(PRESETS["fast"], speculate=3),
    ],
    ids=["balanced", "prefix", "guesses"],
)
def test_mini_answers_together_what_it_answers_alone(mini, kit, policy):
    lengths = (48, 64, 64, 96)

    def runs():
        return [kit.chat_run(mini, query, length, policy) for query, length in zip(REQUESTS, lengths, strict=True)]

    finals = {i: e.result for i, e in together(mini.network, runs()) if isinstance(e, Returned)}
    nfe = 0.0
    for i, inner in enumerate(runs()):
        *_, wanted = alone(mini.network, inner)
        assert finals[i].tokens == wanted.tokens
        nfe += wanted.nfe
    assert sum(final.nfe for final in finals.values()) < nfe


def test_a_step_that_its_consumer_breaks_off_goes_on_where_it_was(fake):
    """What runs have asked is not lost, and nobody is asked twice."""
    network, policy = fake(), Policy(TopK(linear), stop=False)

    def make():
        return denoise(Canvas(torch.arange(24) % 11, [Span(3, 9)], mask=MASK), policy, CONSTRAINTS)

    wanted = [list(alone(fake(), make()))[-1].tokens for _ in range(2)]
    driver = Driver(network)
    for _ in range(2):
        driver.add(make())
    found = {}
    while driver.running:
        for count, (number, event) in enumerate(driver.step()):
            if isinstance(event, Returned):
                found[number] = event.result.tokens
            if count == 1:
                break
    assert [found[number] for number in range(2)] == wanted


def test_after_an_error_of_memory_the_runs_that_are_left_go_on(fake):
    class Full:
        """A network without memory for a cache of two canvases."""

        def __init__(self) -> None:
            self.network, self.shift, self.block = fake(), 1, None

        def new_cache(self, slots, longest, *, old=None):
            if slots > 1:
                raise MemoryError
            return self.network.new_cache(slots, longest, old=old)

        def __call__(self, *given, **more):
            return self.network(*given, **more)

    policy = Policy(TopK(linear), stop=False, cache="dual")
    driver = Driver(Full())
    for _ in range(2):
        driver.add(denoise(Canvas(torch.arange(24) % 11, [Span(3, 9)], mask=MASK), policy, CONSTRAINTS))
    with pytest.raises(NoRoom):
        list(driver.step())
    driver.remove(1)
    ended = []
    while driver.running:
        ended += [event for _, event in driver.step() if isinstance(event, Returned)]
    assert MASK not in ended[0].result.tokens
