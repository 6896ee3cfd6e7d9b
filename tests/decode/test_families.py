"""The one loop writes what the published loops of other families write, commit by commit: by other values alone.

The checkpoints are small random ones in the published shapes; an independent loop on transformers' layers wrote the
expected results (float32, temperature 0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Decision, Progress, TopK, linear, ranked
from diffucli.decode.loop import Returned, alone, denoise, together
from diffucli.decode.policy import Policy
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints, Sampling
from diffucli.decode.speculate import speculate
from diffucli.events import Resized, Stepped, fold
from diffucli.model.config import Config
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer

DATA = Path(__file__).parents[1] / "data"
ORDERS = {"entropy": "entropy", "maskgit_plus": "confidence", "topk_margin": "margin"}
LLADA_SIZES = {
    "d_model": "hidden_size",
    "mlp_hidden_size": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "max_sequence_length": "max_position_embeddings",
}
LLADA_NAMES = {
    "wte": "embed_tokens",
    "ln_f": "norm",
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}


def settings_of(name: str) -> dict[str, Any]:
    return json.loads((DATA / name / "config.json").read_text())


def cases_of(name: str) -> list[dict[str, Any]]:
    return json.loads((DATA / name / "golden-decodes.json").read_text())


def network_of(settings: dict[str, Any], weights: dict[str, torch.Tensor], *, shift: int) -> Network:
    """The network of a config.json with weights of published names."""
    config = Config.from_json(settings)
    with torch.device("meta"):
        model = Transformer(config)
    state = {}
    for name, value in model.state_dict().items():
        is_tied = config.tie_word_embeddings and name == "lm_head.weight"
        parts = ["model.embed_tokens.weight"] if is_tied else config.split_fused(name, value)
        state[name] = torch.cat([weights[part] for part in parts])
    model.load_state_dict(state, assign=True)
    model.tie()
    return Network(model.eval(), shift=shift)


@pytest.fixture(scope="module")
def dreamon() -> Network:
    return network_of(settings_of("tiny-dreamon"), load_file(DATA / "tiny-dreamon" / "model.safetensors"), shift=1)


@pytest.fixture(scope="module")
def p2() -> Network:
    """The weights of tiny-dreamon; the head is the embedding."""
    return network_of(settings_of("tiny-p2"), load_file(DATA / "tiny-dreamon" / "model.safetensors"), shift=1)


@pytest.fixture(scope="module")
def llada() -> Network:
    """LLaDA's layers are Qwen2's with other names and without the biases."""
    settings = settings_of("tiny-llada")
    settings |= {ours: settings[theirs] for theirs, ours in LLADA_SIZES.items()}
    weights = {}
    for name, value in load_file(DATA / "tiny-llada" / "model.safetensors").items():
        _, _, *block, part, _ = name.split(".")
        if not block:
            weights["lm_head.weight" if part == "ff_out" else f"model.{LLADA_NAMES[part]}.weight"] = value
            continue
        stem = f"model.layers.{block[1]}.{LLADA_NAMES[part]}"
        weights[f"{stem}.weight"] = value
        if part in {"q_proj", "k_proj", "v_proj"}:
            weights[f"{stem}.bias"] = torch.zeros(len(value))
    return network_of(settings, weights, shift=0)


def canvas_of(tokens: list[int], mask: int) -> Canvas:
    """A canvas whose holes are its runs of masks."""
    masked = [False, *(token == mask for token in tokens), False]
    edges = [i for i, (before, now) in enumerate(pairwise(masked)) if before != now]
    return Canvas(tokens, [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)], mask=mask)


def committed(events) -> list[list[list[int]]]:
    """The commits of each step as (position, token)."""
    steps = [event for event in events if isinstance(event, Stepped)]
    return [[list(pair) for pair in zip(step.positions, step.tokens, strict=True)] for step in steps]


# DreamOn: one token a step; an end token inside a hole deletes its position, <|expand|> becomes two masks.


def dreamon_run(case: dict[str, Any], canvas: Canvas, *, guesses: int = 0):
    settings = settings_of("tiny-dreamon")
    policy = Policy(TopK(lambda *_: 1), Sampling(order=ORDERS[case["alg"]]), stop=False, speculate=guesses)
    resizing = Resizing(
        settings["expand_token_id"], frozenset({settings["eos_token_id"]}), case["max_length"], case["expand_budget"]
    )
    run = denoise(canvas, policy, Constraints(resizing=resizing))
    return speculate(run, policy) if guesses else run


def test_dreamons_holes_grow_and_shrink_with_every_commit(dreamon):
    settings, grown, gone = settings_of("tiny-dreamon"), 0, 0
    cases = cases_of("tiny-dreamon")
    assert len(cases) == 48
    for case in cases:
        canvas = canvas_of(case["canvas"], settings["mask_token_id"])
        events = list(alone(dreamon, dreamon_run(case, canvas)))
        assert [pair for (pair,) in committed(events)] == case["commits"]
        assert list(events[-1].tokens) == case["result"] == list(fold(events))
        assert events[-1].reason == "complete"
        assert events[-1].holes == canvas.spans
        deltas = [event.delta for event in events if isinstance(event, Resized)]
        grown, gone = grown + deltas.count(2), gone + deltas.count(-1) - deltas.count(2)
    assert (grown, gone) == (61, 47), "expansions and deletions"


@pytest.mark.parametrize("guesses", [0, 3])
def test_dreamons_runs_write_the_same_together_and_with_guesses(dreamon, guesses):
    mask, cases = settings_of("tiny-dreamon")["mask_token_id"], cases_of("tiny-dreamon")
    runs = [dreamon_run(case, canvas_of(case["canvas"], mask), guesses=guesses) for case in cases]
    finals = {i: event.result for i, event in together(dreamon, runs) if isinstance(event, Returned)}
    assert [list(finals[i].tokens) for i in range(len(cases))] == [case["result"] for case in cases]
    spent, steps = sum(final.nfe for final in finals.values()), sum(len(case["commits"]) for case in cases)
    assert spent < steps


# P2, path planning: each step writes every mask and masks the least probable positions of the hole again.


@dataclass(frozen=True)
class PathPlanning:
    """All but the least probable ⌊n · (1 - (i + 1) / steps)⌋ of the hole's positions hold a token after step i."""

    asks: ClassVar = "hole"
    scheduled: ClassVar = True
    drawn: ClassVar = False

    def __call__(
        self, scores: torch.Tensor, masked: torch.Tensor, progress: Progress, rng: torch.Generator
    ) -> Decision:
        low = torch.zeros(len(scores), dtype=torch.bool)
        low[ranked(-scores)[: len(scores) * (progress.total - progress.index - 1) // progress.total]] = True
        return Decision((masked & ~low).nonzero()[:, 0], (~masked & low).nonzero()[:, 0])


def test_path_planning_is_a_rule_that_masks_again(p2):
    """The hole after each step, and which tokens were masked again."""
    mask, again = settings_of("tiny-p2")["mask_token_id"], 0
    cases = cases_of("tiny-p2")
    assert len(cases) == 48
    for case in cases:
        canvas = canvas_of(case["canvas"], mask)
        (hole,) = canvas.holes
        history, events = [], []
        policy = Policy(PathPlanning(), steps=case["steps"], stop=False)
        for event in alone(p2, denoise(canvas, policy, Constraints())):
            events.append(event)
            if isinstance(event, Stepped):
                history.append(canvas.tokens[hole.start : hole.stop].tolist())
                again += len(event.remasked)
        assert history == case["history"]
        assert list(events[-1].tokens) == case["result"] == list(fold(events))
    assert again == 1297


# LLaDA: no shift, blocks from left to right, the steps shared out evenly.


def llada_run(case: dict[str, Any], *, mask: int, cache: str = "none"):
    start = len(case["prompt"])
    canvas = Canvas(
        [*case["prompt"], *[mask] * case["gen_length"]], [Span(start, start + case["gen_length"])], mask=mask
    )
    policy = Policy(TopK(linear), steps=case["steps"], block=case["block_length"], stop=False, cache=cache)
    return denoise(canvas, policy, Constraints())


def test_llada_is_a_linear_schedule_without_the_shift(llada):
    mask, cases = settings_of("tiny-llada")["mask_token_id"], cases_of("tiny-llada")
    assert len(cases) == 40
    for case in cases:
        events = list(alone(llada, llada_run(case, mask=mask)))
        steps: list[list[list[int]]] = [[]]
        for commit in case["commits"]:
            if commit is None:
                steps.append([])
            else:
                steps[-1].append(commit)
        assert committed(events) == [sorted(step) for step in steps[:-1]]
        assert list(events[-1].tokens) == case["result"]


def test_lladas_runs_write_the_same_together(llada):
    mask, cases = settings_of("tiny-llada")["mask_token_id"], cases_of("tiny-llada")[:12]
    finals = {
        i: event.result
        for i, event in together(llada, [llada_run(case, mask=mask) for case in cases])
        if isinstance(event, Returned)
    }
    assert [list(finals[i].tokens) for i in range(len(cases))] == [case["result"] for case in cases]
