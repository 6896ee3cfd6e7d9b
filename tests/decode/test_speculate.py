"""Speculation changes how many forwards a run costs and nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.decode import speculate as module
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Progress, Threshold, TopK, linear
from diffucli.decode.loop import Driver, Returned, alone, denoise, together
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.predict import Answer, Query
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints, Sampling
from diffucli.decode.speculate import speculate, subsets, written
from diffucli.events import Finished, Started, Stepped

MASK, END = 12, 3
HOLES = (Span(3, 9), Span(12, 20))
CONSTRAINTS = Constraints(forbidden=(MASK,))


def run(network, policy: Policy, holes=HOLES, length: int = 24, *, constraints: Constraints = CONSTRAINTS):
    """The steps of a run with the guesses that its policy asks for, and its end."""
    ends = frozenset({END}) if policy.stop else frozenset()
    canvas = Canvas(torch.arange(length) % 11, holes, mask=MASK, ends=ends)
    events = list(alone(network, speculate(denoise(canvas, policy, constraints), policy)))
    return [event for event in events if isinstance(event, Stepped)], events[-1]


def commits(steps, *, scores: bool = True):
    """What was committed and masked again in each step, and where."""
    return [
        (e.step, e.positions, e.tokens, e.remasked, e.window, e.masks_left, e.scores if scores else ()) for e in steps
    ]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_guesses_are_scored_as_the_run_scores_what_it_draws(temperature):
    """By the tempered scores, where its rule goes by these: a threshold would promise other steps otherwise."""
    policy = Policy(Threshold(0.9), Sampling(temperature=temperature, tempered=True))
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
    wanted = torch.softmax(logits / temperature, -1).amax(-1)
    torch.testing.assert_close(module._expected(logits, policy).scores, wanted)


@settings(max_examples=60)
@given(st.sampled_from([0, 1]), st.integers(1, 8), st.data())
def test_every_policy_writes_the_same_in_no_more_forwards(fake, kit, shift, count, data):
    """Token for token, step by step, score by score; drawn tokens too."""
    request = data.draw(kit.requests())
    plain, guessing = (kit.Request(replace(request.policy, speculate=n), *request_of(request)) for n in (0, count))
    network, other = fake(shift), fake(shift)
    wanted, found = list(alone(other, plain.run())), list(alone(network, guessing.run()))
    assert kit.told(found) == kit.told(wanted)
    steps = [event for event in found if isinstance(event, Stepped)]
    assert found[-1].nfe == len(network.forwards) <= len(other.forwards)
    assert [e.nfe for e in steps] == sorted(e.nfe for e in steps)
    assert all(e.nfe <= e.step for e in steps)


def request_of(request):
    """All of a request but its policy."""
    return request.holes, request.length, request.constraints


@given(st.integers(0, 12), st.integers(1, 8), st.data())
def test_what_a_budget_buys_is_the_beginning_of_the_whole(fake, kit, budget, count, data):
    """As many steps with guesses as without, in no more forwards."""
    policy = replace(data.draw(kit.POLICIES), budget=None, by_line=False)
    whole, _ = run(fake(), replace(policy, speculate=0))
    steps, final = run(fake(), replace(policy, speculate=count, budget=budget))
    assert final.nfe <= len(steps) <= budget
    assert commits(steps) == commits(whole)[:budget]


@given(st.data())
def test_a_wrong_guess_is_harmless(fake, kit, data):
    """Whoever guesses, and whatever of the window."""
    policy = replace(data.draw(kit.POLICIES), by_line=False, speculate=4)

    def guesses(query, latest, policy):
        if latest is None or latest.query.window != query.window:
            return ()
        inside = st.integers(query.window.start, query.window.stop - 1)
        cells = st.dictionaries(inside, st.integers(0, MASK), min_size=1, max_size=4)
        drawn = data.draw(st.lists(cells, max_size=4))
        return tuple(replace(query, tokens=written(query.tokens, list(c), list(c.values()))) for c in drawn)

    plain, _ = run(fake(), replace(policy, speculate=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_guesses", guesses)
        steps, final = run(fake(), policy)
    assert commits(steps) == commits(plain)
    assert final.nfe <= len(plain)


def script(canvases: list[tuple[torch.Tensor, Span]], cache: str, found: list[torch.Tensor]):
    """A run that asks about these canvases, whatever is answered, and spoils the answers."""
    for tokens, window in canvases:
        positions = (tokens[window.start : window.stop] == MASK).nonzero()[:, 0] + window.start
        answer = yield (Query(tokens.clone(), window, positions, cache, Progress(0, 9)),)
        found.append(answer.logits[0].clone())
        answer.logits[0].fill_(-torch.inf)


@settings(max_examples=30)
@given(st.sampled_from(["none", "prefix", "dual"]), st.integers(1, 8), st.data())
def test_whatever_becomes_of_the_canvas_the_logits_are_those_of_a_forward(fake, cache, count, data):
    """Tokens put back, windows in any order, queries repeated, answers written over."""
    canvas, canvases = Canvas(torch.arange(24) % 11, HOLES, mask=MASK), []
    for _ in range(12):
        window = data.draw(st.sampled_from(HOLES))
        where = canvas.open_masks(window).tolist()
        if where:
            canvases.append((canvas.tokens.clone(), window))
            if data.draw(st.booleans()):
                canvas.commit([data.draw(st.sampled_from(where))], [data.draw(st.integers(0, 11))])
        gone = [p for p in range(window.start, window.stop) if p not in canvas.open_masks(window).tolist()]
        if gone and data.draw(st.integers(0, 3)) == 0:
            canvas.remask([data.draw(st.sampled_from(gone))])
    policy = Policy(TopK(linear), cache=cache, speculate=count)
    found, wanted = [], []
    for logits, guessing in ((found, True), (wanted, False)):
        inner = script(canvases, cache, logits)
        network = fake()
        list(together(network, [speculate(inner, policy) if guessing else inner]))
        assert len(network.forwards) <= len(canvases)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


GOLDEN = {
    "dream-entropy": PRESETS["exact"],
    "dream-confidence": replace(PRESETS["exact"], sampling=Sampling(order="confidence")),
    "dream-margin": replace(PRESETS["exact"], sampling=Sampling(order="margin")),
    "linear-two-a-step": Policy(TopK(linear), steps=6),
    "threshold": Policy(Threshold(0.02)),
    "blocks": Policy(TopK(linear), block=6),
    "cached": Policy(TopK(linear), block=6, cache="dual"),
    "prefix": Policy(TopK(linear), block=6, cache="prefix"),
    "drawn": replace(PRESETS["exact"], sampling=Sampling(0.7, 0.9, "entropy")),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_checkpoint_writes_the_same_with_any_number_of_guesses(checkpoint, name):
    """Rows of a batch differ from single ones by rounding, which is less than what decides here."""
    policy, vocabulary = GOLDEN[name], checkpoint.tokenizer
    constraints, tokens, hole = (
        Constraints((vocabulary.mask,), vocabulary.vocab_size),
        torch.arange(40, 60),
        Span(6, 18),
    )
    plain = None
    for count in (0, 1, 3, 4, 8):
        canvas, guessing = Canvas(tokens, [hole], mask=vocabulary.mask), replace(policy, speculate=count)
        inner = speculate(denoise(canvas, guessing, constraints), guessing)
        _, *steps, final = alone(checkpoint.network, inner)
        plain = plain or steps
        assert commits(steps, scores=False) == commits(plain, scores=False)
        for step, same in zip(steps, plain, strict=True):
            assert step.scores == pytest.approx(same.scores, abs=1e-4)
        assert final.nfe <= len(plain)


@pytest.mark.parametrize(
    ("policy", "gain"),
    [(PRESETS["exact"], 1.4), (replace(PRESETS["balanced"], commit=TopK(linear), block=8), 1.3)],
    ids=["exact", "short blocks"],
)
def test_mini_writes_the_same_in_far_fewer_forwards(mini, kit, policy, gain):
    runs = []
    for count in (0, 4):
        inner = kit.chat_run(mini, "a stack class", 24, replace(policy, speculate=count))
        runs.append([e for e in alone(mini.network, inner) if isinstance(e, Stepped)])
    assert commits(runs[1], scores=False) == commits(runs[0], scores=False)
    assert len(runs[0]) >= gain * runs[1][-1].nfe


class Steady:
    """Never changes its mind: always of token 1, surer the further left. `given`: canvases in each forward."""

    shift, block = 0, None

    def __init__(self) -> None:
        self.given: list[int] = []

    def new_cache(self, slots, longest, *, old=None):
        return None

    def copy_slot(self, cache, source, target):
        pass

    def __call__(self, tokens, rows, *, starts=(), cache=None, lengths=()):
        self.given.append(len(tokens))
        positions = torch.cat([each + start for each, start in zip(rows, starts or [0] * len(rows), strict=True)])
        logits = torch.zeros(len(positions), 13)
        logits[:, 1] = 20.0 - positions / 10
        return logits


@pytest.mark.parametrize("cache", ["none", "dual"])
@pytest.mark.parametrize(("count", "ahead"), [(1, 1), (2, 1), (3, 2), (6, 2), (7, 3), (15, 4)])
def test_guesses_that_all_come_true_save_a_forward_each(count, ahead, cache):
    """The first step has nothing to guess from; 13 steps follow it."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=count, cache=cache)
    steady = Steady()
    steps, final = run(steady, policy)
    assert len(steps) == 14
    assert final.nfe == len(steady.given) == 1 + -(-13 // (1 + ahead))
    assert steady.given[0] == 1
    assert max(steady.given) == 1 + count


def test_guesses_take_as_many_as_the_schedule_will():
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), steps=4, stop=False, speculate=1)
    assert run(Steady(), policy)[1].nfe == 3  # 4 + 4, then 3 + 3


def test_a_step_that_commits_nothing_costs_no_forward(fake):
    """The first one of Dream's schedule."""
    steps, _ = run(fake(), replace(PRESETS["exact"], speculate=1))
    assert (steps[0].positions, steps[0].nfe, steps[1].nfe) == ((), 1, 1)


def test_a_canvas_in_which_nothing_is_left_to_write_is_not_evaluated():
    policy, steady = Policy(TopK(linear), stop=False, speculate=8), Steady()
    run(steady, policy, holes=(Span(3, 5),))
    assert steady.given == [1, 1]


def test_a_windows_first_step_has_nothing_to_guess_from():
    policy, steady = Policy(TopK(linear), stop=False, speculate=4, block=4, cache="dual"), Steady()
    steps, _ = run(steady, policy)
    firsts = [
        step
        for step, before in zip(steps, [None, *steps], strict=False)
        if before is None or step.window != before.window
    ]
    assert len(firsts) == 4
    assert steady.given.count(1) >= 4


def asked_for(canvases: list[tuple[torch.Tensor, Span]], count: int) -> list[int]:
    """How many queries a run that asks about these canvases passes on for each; 0: it was answered already."""
    found, counts, steady = [], [0] * len(canvases), Steady()
    outer = speculate(script(canvases, "dual", found), Policy(TopK(linear), speculate=count))
    asked = next(outer, None)
    while asked is not None:
        counts[len(found)] = len(asked)
        logits = tuple(steady(each.tokens[None], [each.positions]) for each in asked)
        try:
            asked = outer.send(Answer(logits, 1.0))
        except StopIteration:
            asked = None
    return counts


def test_guesses_and_answers_are_of_one_window_and_one_length():
    """On a new window, and on a canvas that was resized, keys and values are computed anew; a guess there is not."""
    tokens = torch.arange(24) % 11
    tokens[3:9] = MASK
    window, written_, longer = Span(3, 9), tokens.clone(), torch.cat([tokens[:5], torch.tensor([MASK]), tokens[5:]])
    written_[8] = 5
    assert asked_for([(tokens, window), (tokens, window)], 3) == [1, 0], "what is known is not asked for again"
    assert asked_for([(tokens, window), (written_, window)], 3) == [1, 4]
    assert asked_for([(tokens, window), (tokens, Span(3, 7))], 3) == [1, 1]
    assert asked_for([(tokens, window), (written_, Span(3, 7))], 3) == [1, 1]
    assert asked_for([(tokens, window), (longer, window)], 3) == [1, 1]


def test_guesses_are_the_likeliest_under_the_constraints():
    """What may not appear is not guessed either."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=3)
    steps, final = run(Steady(), policy, [Span(3, 9)], constraints=Constraints(forbidden=(1, MASK)))
    assert {token for step in steps for token in step.tokens} == {0}
    assert final.nfe < len(steps)


def test_a_canvas_that_was_resized_is_not_guessed_from(fake):
    """Its positions are others; guesses begin again with the next query."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False)
    resizing = Resizing(expand=11, delete=frozenset({8}), longest=40, budget=8)
    constraints = replace(CONSTRAINTS, resizing=resizing)
    plain, wanted = run(fake(), policy, constraints=constraints)
    for count in (1, 4):
        steps, final = run(fake(), replace(policy, speculate=count), constraints=constraints)
        assert commits(steps) == commits(plain)
        assert final.tokens == wanted.tokens
        assert final.nfe < wanted.nfe
    assert len(wanted.tokens) != 24


def test_no_guess_is_made_where_none_is_asked_for(fake):
    network = fake()
    run(network, Policy(TopK(linear), stop=False))
    assert network.forwards == [(1, 24)] * 14


def test_answers_without_the_guesses_are_enough():
    """As under memory pressure."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=3)
    inner = speculate(denoise(Canvas(range(9), [Span(2, 7)], mask=MASK), policy, CONSTRAINTS), policy)
    asked, steady, item = [], Steady(), next(inner)
    while not isinstance(item, Finished):
        if isinstance(item, tuple):
            asked.append(len(item))
            item = inner.send(Answer((steady(item[0].tokens[None], [item[0].positions]),), 1.0))
        else:
            item = next(inner)
    assert asked[0] == 1
    assert max(asked) == 4
    assert item.nfe == len(asked) == 5


def test_closing_a_run_with_guesses_closes_the_run_itself():
    inner = denoise(Canvas(range(9), [Span(2, 7)], mask=MASK), Policy(TopK(linear)), CONSTRAINTS)
    outer = speculate(inner, Policy(TopK(linear), speculate=2))
    assert isinstance(next(outer), Started)
    outer.close()
    assert inner.gi_frame is None


def test_the_result_of_a_run_passes(fake):
    def inner():
        yield Started((), MASK, ())
        return "result"

    assert [
        event.result
        for _, event in together(fake(), [speculate(inner(), Policy(TopK()))])
        if isinstance(event, Returned)
    ] == ["result"]


def test_guesses_of_many_runs_share_the_forwards_of_all(fake, kit):
    policy = Policy(TopK(linear), block=5, cache="dual", stop=False, speculate=3)
    request = kit.Request(policy)
    *_, single = alone(fake(), request.run())
    network = fake()
    driver = Driver(network)
    for _ in range(3):
        driver.add(request.run())
    while driver.running:
        list(driver.step())
    assert driver.forwards == len(network.forwards) == single.nfe


@given(st.sets(st.integers(1, 9)).map(sorted), st.integers(0, 9))
def test_subsets_are_those_of_the_sizes_in_the_order_of_binary_numbers(sizes, count):
    wanted = [[i for i in range(count) if number >> i & 1] for number in range(1 << count)]
    assert list(subsets(sizes, count)) == [ranks for ranks in wanted if len(ranks) in sizes]


def test_many_at_once_are_counted_without_a_walk_through_all_numbers():
    assert next(islice(subsets([200], 300), 2, None)) == [*range(198), 199, 200]


def test_guesses_are_written_into_copies():
    tokens = torch.zeros(4, dtype=torch.long)
    assert written(tokens, [1, 3], [5, 6]).tolist() == [0, 5, 0, 6]
    assert written(tokens, [], []).tolist() == [0, 0, 0, 0]
    assert not tokens.any()
