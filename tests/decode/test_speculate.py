"""Speculation changes how many forwards a run costs and nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import EntropyBound, Factor, Independent, Threshold, TopK, linear
from diffucli.decode.loop import denoise
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.predict import predictor
from diffucli.decode.sample import Rules, Sampling
from diffucli.decode.speculate import Speculative, subsets, written
from diffucli.events import Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.engine import Engine

MASK, END = 12, 3
HOLES = (Span(3, 9), Span(12, 20))
RULES = Rules(forbidden=(MASK,))
COMMITS = [TopK(), TopK(linear), TopK(alg_temp=0.5), Threshold(0.6), Factor(1.0), EntropyBound(0.5), Independent()]


def forward(network, policy: Policy, rules: Rules):
    """The predictor a policy asks for."""
    plain = predictor(network, cache=policy.cache, suffix=policy.suffix)
    return Speculative(plain, policy, rules) if policy.speculate else plain


def run(network, policy: Policy, holes=HOLES, length: int = 24, *, seen=None):
    """The steps of a run and its end."""
    canvas = Canvas(torch.arange(length) % 11, holes, mask=MASK, ends=frozenset({END}) if policy.stop else frozenset())
    _, *steps, final = denoise(canvas, seen or forward(network, policy, RULES), policy, RULES)
    return steps, final


def commits(steps, *, scores: bool = True):
    """What was committed in each step, and where."""
    return [(e.step, e.positions, e.tokens, e.window, e.masks_left, e.scores if scores else ()) for e in steps]


policies = st.builds(
    Policy,
    commit=st.sampled_from(COMMITS),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.3, 1.0]),
        top_p=st.sampled_from([0.5, 1.0]),
        order=st.sampled_from(["confidence", "margin", "entropy", "origin"]),
        tempered=st.booleans(),
    ),
    steps=st.integers(1, 30) | st.none(),
    block=st.integers(1, 30) | st.none(),
    cache=st.sampled_from(["none", "prefix", "dual"]),
    suffix=st.integers(0, 30) | st.none(),
    stop=st.booleans(),
    seed=st.integers(0, 2**32),
)
layouts = st.sampled_from([HOLES, (Span(0, 24),), (Span(0, 1),), (Span(5, 24),), ()])


@given(policies, layouts, st.sampled_from([0, 1]), st.integers(1, 8))
def test_every_policy_writes_the_same_in_no_more_forwards(fake, policy, holes, shift, count):
    """Token for token, step by step, score by score but for rounding; drawn tokens too."""
    network = fake(shift)
    plain, _ = run(fake(shift), policy, holes)
    steps, final = run(network, replace(policy, speculate=count), holes)
    assert commits(steps, scores=False) == commits(plain, scores=False)
    assert [e.scores for e in steps] == [pytest.approx(e.scores, rel=1e-5, abs=1e-6) for e in plain]
    assert final.nfe == len(network.forwards) <= len(plain)
    assert [e.nfe for e in steps] == sorted(e.nfe for e in steps)
    assert all(e.nfe <= e.step for e in steps)


@given(policies, st.integers(0, 12), st.integers(1, 8))
def test_a_budget_counts_forwards_and_what_it_buys_is_the_beginning_of_the_whole(fake, policy, budget, count):
    whole, _ = run(fake(), policy)
    steps, final = run(fake(), replace(policy, speculate=count, budget=budget))
    plain, _ = run(fake(), replace(policy, budget=budget))
    assert final.nfe <= budget
    assert len(plain) <= len(steps)
    assert commits(steps) == commits(whole)[: len(steps)]


@given(policies, st.data())
def test_a_wrong_guess_is_harmless(fake, policy, data):
    """Whoever guesses, and whatever."""
    anything = st.lists(st.tuples(st.integers(0, 23), st.integers(0, MASK)), min_size=1, max_size=4)

    def guesses(window, positions, progress):
        latest = speculative._latest
        if latest is None or latest[0] != window:
            return []  # a window's first call takes just one canvas where keys and values are kept
        drawn = data.draw(st.lists(anything, max_size=4))
        return [tuple(map(list, zip(*cells, strict=True))) for cells in drawn]

    policy = replace(policy, speculate=4)
    speculative = forward(fake(), policy, RULES)
    speculative._guesses = guesses
    steps, final = run(None, policy, seen=speculative)
    plain, _ = run(fake(), replace(policy, speculate=0))
    assert commits(steps) == commits(plain)
    assert final.nfe <= len(plain)


@given(st.sampled_from(["none", "prefix", "dual"]), st.integers(1, 8), st.data())
def test_whatever_becomes_of_the_canvas_the_logits_are_those_of_a_forward(fake, cache, count, data):
    """Tokens put back, windows in any order, calls repeated."""
    canvas = Canvas(torch.arange(24) % 11, HOLES, mask=MASK, ends=frozenset({END}))
    policy = Policy(TopK(linear), cache=cache, speculate=count)
    speculative, plain = (forward(fake(), p, RULES) for p in (policy, replace(policy, speculate=0)))
    for _ in range(12):
        window = data.draw(st.sampled_from(HOLES))
        asked = canvas.masked(window)
        if len(asked):
            found, wanted = speculative(canvas, window, asked), plain(canvas, window, asked)
            torch.testing.assert_close(found, wanted)
            best = RULES(found, asked).max(-1)
            if data.draw(st.booleans()):
                place = int(best.values.argmax())
                canvas.commit([int(asked[place])], [int(best.indices[place])])
        gone = [p for p in range(window.start, window.stop) if p not in canvas.masked(window).tolist()]
        if gone and data.draw(st.integers(0, 3)) == 0:
            canvas.remask([data.draw(st.sampled_from(gone))])
    assert speculative.forwards <= plain.forwards


GOLDEN = {
    "dream-entropy": PRESETS["exact"],
    "dream-confidence": replace(PRESETS["exact"], sampling=Sampling(order="confidence")),
    "dream-margin": replace(PRESETS["exact"], sampling=Sampling(order="margin")),
    "linear-two-a-step": Policy(TopK(linear), steps=6),
    "threshold": Policy(Threshold(0.02), suffix=4),
    "blocks": Policy(TopK(linear), block=6),
    "cached": Policy(TopK(linear), block=6, cache="dual", suffix=4),
    "prefix": Policy(TopK(linear), block=6, cache="prefix", suffix=4),
    "drawn": replace(PRESETS["exact"], sampling=Sampling(0.7, 0.9, "entropy")),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_checkpoint_writes_the_same_with_any_number_of_guesses(checkpoint, name):
    """Rows of a batch differ from single ones by rounding, which is less than what decides here."""
    policy, words = GOLDEN[name], checkpoint.tokenizer
    rules, tokens, hole = Rules((words.mask,), words.vocab_size), torch.arange(40, 60), Span(6, 18)
    plain = None
    for count in range(9):
        canvas = Canvas(tokens, [hole], mask=words.mask)
        asked = replace(policy, speculate=count)
        _, *steps, final = denoise(canvas, forward(checkpoint.network, asked, rules), asked, rules)
        plain = plain or steps
        assert commits(steps, scores=False) == commits(plain, scores=False)
        for step, same in zip(steps, plain, strict=True):
            assert step.scores == pytest.approx(same.scores, abs=1e-4)
        assert final.nfe <= len(plain)


@pytest.fixture(scope="module")
def mini():
    """An engine of the embedded model."""
    folder = registry.find("mini").folder
    if not (folder / "model.safetensors").exists():
        pytest.skip("mini is not trained yet")
    return Engine(load(folder, device="cpu"), PRESETS["exact"])


CAREFUL = replace(PRESETS["balanced"], commit=TopK(linear), block=8)


@pytest.mark.parametrize(("policy", "gain"), [(PRESETS["exact"], 1.4), (CAREFUL, 1.3)], ids=["exact", "careful"])
def test_mini_writes_the_same_in_far_fewer_forwards(mini, policy, gain):
    runs = []
    for count in (0, 4):
        engine = replace(mini, policy=replace(policy, speculate=count))
        runs.append([e for e in engine.generate("a stack class", length=24).events if isinstance(e, Stepped)])
    assert commits(runs[1], scores=False) == commits(runs[0], scores=False)
    assert len(runs[0]) >= gain * runs[1][-1].nfe


class Steady:
    """Never changes its mind: always of token 1, surer the further left. `given`: canvases in each forward."""

    def __init__(self) -> None:
        self.given = []

    @property
    def forwards(self) -> int:
        return len(self.given)

    def batch(self, tokens, positions, *, canvas, window):
        self.given.append(len(tokens))
        logits = torch.zeros(len(tokens), len(positions), 13)
        logits[:, :, 1] = 20.0 - positions / 10
        return logits


@pytest.mark.parametrize(("count", "ahead"), [(1, 1), (2, 1), (3, 2), (6, 2), (7, 3), (15, 4)])
def test_guesses_that_all_come_true_save_a_forward_each(count, ahead):
    """The first step has nothing to guess from; 13 steps follow it."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=count)
    steady = Steady()
    steps, final = run(None, policy, seen=Speculative(steady, policy, RULES))
    assert len(steps) == 14
    assert final.nfe == 1 + -(-13 // (1 + ahead))
    assert steady.given[0] == 1
    assert max(steady.given) == 1 + count


def test_guesses_take_as_many_as_the_schedule_will():
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), steps=4, stop=False, speculate=1)
    assert run(None, policy, seen=Speculative(Steady(), policy, RULES))[1].nfe == 3  # 4 + 4, then 3 + 3


def test_a_step_that_commits_nothing_costs_no_forward(fake):
    """The first one of Dream's schedule."""
    network = fake()
    steps, _ = run(network, replace(PRESETS["exact"], speculate=1))
    assert (steps[0].positions, steps[0].nfe, steps[1].nfe) == ((), 1, 1)


def test_a_canvas_in_which_nothing_is_left_to_write_is_not_evaluated():
    policy = Policy(TopK(linear), stop=False, speculate=8)
    steady = Steady()
    run(None, policy, holes=(Span(3, 5),), seen=Speculative(steady, policy, RULES))
    assert steady.given == [1, 1]


def test_guesses_are_the_likeliest_under_the_rules():
    """What may not appear is not guessed either."""
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=3)
    rules, steady = Rules(forbidden=(1, MASK)), Steady()
    canvas = Canvas(torch.arange(24) % 11, [Span(3, 9)], mask=MASK)
    _, *steps, final = denoise(canvas, Speculative(steady, policy, rules), policy, rules)
    assert {token for step in steps for token in step.tokens} == {0}
    assert final.nfe < len(steps)


def test_a_speculative_predictor_may_serve_a_second_run(fake):
    policy = Policy(Threshold(0.9), block=5, stop=False, cache="dual", speculate=3)
    shared = forward(fake(), policy, RULES)
    (first, one), (again, two) = (run(None, policy, seen=shared) for _ in range(2))
    assert commits(first) == commits(again)
    assert one.nfe == two.nfe


@given(st.sets(st.integers(1, 9)).map(sorted), st.integers(0, 9))
def test_subsets_are_those_of_the_sizes_in_the_order_of_binary_numbers(sizes, count):
    wanted = [[i for i in range(count) if number >> i & 1] for number in range(1 << count)]
    assert list(subsets(sizes, count)) == [ranks for ranks in wanted if len(ranks) in sizes]


def test_many_at_once_are_counted_without_a_walk_through_all_numbers():
    assert next(islice(subsets([200], 300), 2, None)) == [*range(198), 199, 200]


def test_guesses_are_written_into_copies():
    tokens = torch.zeros(4, dtype=torch.long)
    assert written(tokens, [([1, 3], [5, 6]), ([], [])]).tolist() == [[0, 0, 0, 0], [0, 5, 0, 6], [0, 0, 0, 0]]
    assert written(tokens, []).tolist() == [[0, 0, 0, 0]]
    assert not tokens.any()
