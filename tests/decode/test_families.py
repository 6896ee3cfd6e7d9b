"""The one loop writes what the published loops of the families write, commit by commit: by other values alone.

The checkpoints are small random ones in the published shapes; an independent loop on transformers' layers wrote the
expected results (float32, temperature 0).
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Threshold
from diffucli.decode.loop import Returned, alone, denoise, together
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints
from diffucli.decode.speculate import speculate
from diffucli.events import Resized, Stepped, fold
from diffucli.tasks.options import of_recipe

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

DATA = Path(__file__).parents[1] / "data"
ORDERS = {"entropy": "entropy", "maskgit_plus": "confidence", "topk_margin": "margin"}


def cases_of(name: str) -> list[dict[str, Any]]:
    return json.loads((DATA / f"tiny-{name}" / "golden-decodes.json").read_text())


def published(checkpoint: Checkpoint, *, order: str | None = None, **changes: object) -> Policy:
    """The family's published settings, without a temperature."""
    policy = of_recipe(checkpoint.family.published)
    sampling = replace(policy.sampling, temperature=0.0, top_p=1.0, order=order or policy.sampling.order)
    return replace(policy, sampling=sampling, **changes)


def canvas_of(tokens: list[int], mask: int) -> Canvas:
    """A canvas whose holes are its runs of masks."""
    masked = [False, *(token == mask for token in tokens), False]
    edges = [i for i, (before, now) in enumerate(pairwise(masked)) if before != now]
    return Canvas(tokens, [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)], mask=mask)


def committed(events) -> list[list[list[int]]]:
    """The commits of each step as (position, token)."""
    steps = [event for event in events if isinstance(event, Stepped)]
    return [[list(pair) for pair in zip(step.positions, step.tokens, strict=True)] for step in steps]


def steps_of(case: dict[str, Any]) -> list[list[list[int]]]:
    """The commits of each step of a case, by position; `null` ends a step."""
    steps: list[list[list[int]]] = [[]]
    for commit in case["commits"]:
        if commit is None:
            steps.append([])
        else:
            steps[-1].append(commit)
    return [sorted(step) for step in steps[:-1]]


# DreamOn: one token a step; an end token inside a hole deletes its position, <|expand|> becomes two masks.


def dreamon_run(checkpoint: Checkpoint, case: dict[str, Any], canvas: Canvas, *, guesses: int = 0):
    words = checkpoint.tokenizer
    policy = published(checkpoint, order=ORDERS[case["alg"]], speculate=guesses)
    expand = words.special(checkpoint.family.expand)
    resizing = Resizing(expand, words.padding, case["max_length"], case["expand_budget"])
    run = denoise(canvas, policy, Constraints(resizing=resizing))
    return speculate(run, policy) if guesses else run


def test_dreamons_holes_grow_and_shrink_with_every_commit(checkpoint_of):
    checkpoint, grown, gone = checkpoint_of("dreamon"), 0, 0
    cases = cases_of("dreamon")
    assert len(cases) == 48
    for case in cases:
        canvas = canvas_of(case["canvas"], checkpoint.tokenizer.mask)
        events = list(alone(checkpoint.network, dreamon_run(checkpoint, case, canvas)))
        assert [pair for (pair,) in committed(events)] == case["commits"]
        assert list(events[-1].tokens) == case["result"] == list(fold(events))
        assert events[-1].reason == "complete"
        assert events[-1].holes == canvas.spans
        deltas = [event.delta for event in events if isinstance(event, Resized)]
        grown, gone = grown + deltas.count(2), gone + deltas.count(-1) - deltas.count(2)
    assert (grown, gone) == (61, 47), "expansions and deletions"


@pytest.mark.parametrize("guesses", [0, 3])
def test_dreamons_runs_write_the_same_together_and_with_guesses(checkpoint_of, guesses):
    checkpoint, cases = checkpoint_of("dreamon"), cases_of("dreamon")
    mask = checkpoint.tokenizer.mask
    runs = [dreamon_run(checkpoint, case, canvas_of(case["canvas"], mask), guesses=guesses) for case in cases]
    finals = {i: event.result for i, event in together(checkpoint.network, runs) if isinstance(event, Returned)}
    assert [list(finals[i].tokens) for i in range(len(cases))] == [case["result"] for case in cases]
    spent, steps = sum(final.nfe for final in finals.values()), sum(len(case["commits"]) for case in cases)
    assert spent < steps


# P2, path planning: each step writes every mask and masks the least probable positions of the hole again.


def test_path_planning_is_a_rule_that_masks_again(checkpoint_of):
    """The hole after each step, and which tokens were masked again; the published settings are those of the preset."""
    checkpoint, again = checkpoint_of("p2"), 0
    cases = cases_of("p2")
    assert len(cases) == 48
    assert published(checkpoint).commit == PRESETS["p2"].commit
    for case in cases:
        canvas = canvas_of(case["canvas"], checkpoint.tokenizer.mask)
        (hole,) = canvas.holes
        history, events = [], []
        policy = published(checkpoint, steps=case["steps"])
        for event in alone(checkpoint.network, denoise(canvas, policy, Constraints())):
            events.append(event)
            if isinstance(event, Stepped):
                history.append(canvas.tokens[hole.start : hole.stop].tolist())
                again += len(event.remasked)
        assert history == case["history"]
        assert list(events[-1].tokens) == case["result"] == list(fold(events))
    assert again == 1297


# LLaDA: no shift, blocks from left to right, the steps shared out evenly.


def answer_of(checkpoint: Checkpoint, case: dict[str, Any], *, ends: frozenset[int] = frozenset()) -> Canvas:
    """A canvas with the hole of an answer behind the prompt."""
    start, mask, align = len(case["prompt"]), checkpoint.tokenizer.mask, checkpoint.family.block or 1
    hole = Span(start, start + case["gen_length"])
    return Canvas([*case["prompt"], *[mask] * case["gen_length"]], [hole], mask=mask, ends=ends, align=align)


def llada_run(checkpoint: Checkpoint, case: dict[str, Any]):
    policy = published(checkpoint, steps=case["steps"], block=case["block_length"])
    return denoise(answer_of(checkpoint, case), policy, Constraints())


def test_llada_is_a_linear_schedule_without_the_shift(checkpoint_of):
    checkpoint, cases = checkpoint_of("llada"), cases_of("llada")
    assert len(cases) == 40
    for case in cases:
        events = list(alone(checkpoint.network, llada_run(checkpoint, case)))
        assert committed(events) == steps_of(case)
        assert list(events[-1].tokens) == case["result"]


def test_lladas_runs_write_the_same_together(checkpoint_of):
    checkpoint, cases = checkpoint_of("llada"), cases_of("llada")[:12]
    finals = {
        i: event.result
        for i, event in together(checkpoint.network, [llada_run(checkpoint, case) for case in cases])
        if isinstance(event, Returned)
    }
    assert [list(finals[i].tokens) for i in range(len(cases))] == [case["result"] for case in cases]


# Stable-DiffCoder: block-causal attention, blocks at multiples of four, the block with an end token is the last.


def blockwise_run(checkpoint: Checkpoint, case: dict[str, Any], *, cache: str = "prefix", guesses: int = 0):
    policy = published(checkpoint, cache=cache, speculate=guesses)
    ends, canvas = checkpoint.tokenizer.ends, answer_of(checkpoint, case, ends=checkpoint.tokenizer.ends)
    assert policy.stop
    assert policy.block == case["block_length"] == checkpoint.family.block
    if case["threshold"] is not None:
        policy = replace(policy, commit=Threshold(case["threshold"]))
    else:
        policy = replace(policy, steps=case["steps_per_block"] * len(list(canvas.blocks(policy.block))))
    run = denoise(canvas, policy, Constraints(ends=tuple(ends)))
    return speculate(run, policy) if guesses else run


def until_end(tokens: list[int], case: dict[str, Any], ends: frozenset[int]) -> list[int]:
    """The answer up to its end; the published loop fills the rest of that block with end tokens."""
    return list(takewhile(lambda token: token not in ends, tokens[len(case["prompt"]) :]))


def test_block_causal_decoding_writes_block_by_block_with_every_commit(checkpoint_of):
    checkpoint, cases = checkpoint_of("blockwise"), cases_of("blockwise")
    ends, early = checkpoint.tokenizer.ends, 0
    assert len(cases) == 40
    for case in cases:
        events = list(alone(checkpoint.network, blockwise_run(checkpoint, case)))
        assert committed(events) == steps_of(case)
        assert until_end(list(events[-1].tokens), case, ends) == until_end(case["result"], case, ends)
        early += events[-1].reason == "end"
    assert early == 1


def test_a_finished_block_is_stored_by_the_forward_that_opens_the_next(checkpoint_of):
    """So a step evaluates one block, or two, whatever the length of the canvas."""
    checkpoint, case = checkpoint_of("blockwise"), cases_of("blockwise")[6]
    widths = []

    class Counting:
        shift, block, new_cache = 0, 4, checkpoint.network.new_cache

        def __call__(self, tokens, rows, **settings):
            widths.append(tokens.shape[1])
            return checkpoint.network(tokens, rows, **settings)

    case |= {"threshold": None, "steps_per_block": 4, "gen_length": 4 * 5 - len(case["prompt"]) % 4}
    list(alone(Counting(), blockwise_run(checkpoint, case)))
    start = len(case["prompt"])
    assert widths[0] == start // 4 * 4 + 4, "the prompt and the first block"
    assert set(widths[1:]) == {4, 8}
    assert widths.count(8) == -(-(start + case["gen_length"]) // 4) - start // 4 - 1


@pytest.mark.parametrize(("cache", "guesses"), [("prefix", 0), ("none", 0), ("prefix", 3)])
def test_block_causal_runs_write_the_same_together_with_guesses_and_without_a_cache(checkpoint_of, cache, guesses):
    checkpoint, cases = checkpoint_of("blockwise"), cases_of("blockwise")
    runs = [blockwise_run(checkpoint, case, cache=cache, guesses=guesses) for case in cases]
    finals = {i: event.result for i, event in together(checkpoint.network, runs) if isinstance(event, Returned)}
    ends = checkpoint.tokenizer.ends
    for i, case in enumerate(cases):
        assert until_end(list(finals[i].tokens), case, ends) == until_end(case["result"], case, ends)
