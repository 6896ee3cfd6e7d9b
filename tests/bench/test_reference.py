"""The published loop, written out, and the preset `exact` are the same function."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
import torch

from diffucli.bench import reference
from diffucli.bench.reference import PublishedLoop, decode
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.loop import denoise
from diffucli.decode.policy import PRESETS
from diffucli.decode.predict import Full
from diffucli.decode.sample import Rules
from diffucli.model.hf_reference import published
from diffucli.model.load import Checkpoint, load
from diffucli.tasks.engine import Engine

MINI = Path(str(resources.files("diffucli") / "models" / "mini"))


@pytest.fixture(scope="module")
def mini() -> Checkpoint:
    if not (MINI / "model.safetensors").exists():
        pytest.skip("mini is not trained yet: src/diffucli/models/mini holds no weights")
    return load(MINI, device="cpu")


def test_it_reproduces_the_golden_decodes(checkpoint: Checkpoint, golden: Path) -> None:
    """Those of as many steps as there are masks, ordered by entropy, came from the published code itself."""
    mask, seen = checkpoint.tokenizer.mask, 0
    for found in json.loads((golden / "golden-decodes.json").read_text()):
        if found["alg"] == "entropy" and found["steps"] == found["max_new_tokens"]:
            tokens = torch.tensor([*found["prompt"], *[mask] * found["steps"]])
            written = decode(published(checkpoint.network, checkpoint.config), tokens, mask=mask)
            assert written.tolist() == [*found["prompt"], *found["completion"]]
            seen += 1
    assert seen


@pytest.mark.parametrize("length", [1, 2, 7, 24])
def test_on_the_golden_checkpoint_it_writes_what_exact_writes(checkpoint: Checkpoint, length: int) -> None:
    mask = checkpoint.tokenizer.mask
    tokens = torch.tensor([*range(3, 12), *[mask] * length])
    canvas = Canvas(tokens, [Span(9, 9 + length)], mask=mask)
    *_, final = denoise(canvas, Full(checkpoint.network), PRESETS["exact"], Rules())
    assert tuple(decode(checkpoint.network, tokens, mask=mask).tolist()) == final.tokens  # type: ignore[union-attr]


@pytest.mark.parametrize("least", [0, 16], ids=["short", "full"])
@pytest.mark.parametrize("request_", ["write a quicksort", "a stack class"])
def test_on_mini_it_answers_what_exact_answers(mini: Checkpoint, request_: str, least: int) -> None:
    """Though the one forbids what may not stand in code and the other does not: mini never wants it."""
    ends = []
    for writer in (PublishedLoop.of(mini), Engine(mini, PRESETS["exact"])):
        run = writer.generate(request_, length=16, least=least)
        *_, final = run.events
        ends.append((run.layout, final.tokens, final.nfe, writer.answer_of(run, final)))  # type: ignore[union-attr, arg-type]
    assert ends[0] == ends[1]
    assert ends[0][2] == 16


def test_every_step_sees_the_whole_canvas_and_asks_for_every_row(fake) -> None:
    network = fake()
    decode(network, torch.tensor([1, 2, 3, *[12] * 5]), mask=12)
    assert network.forwards == [8] * 5


def test_what_is_forbidden_never_appears(checkpoint: Checkpoint) -> None:
    mask = checkpoint.tokenizer.mask
    tokens = torch.tensor([5, 6, *[mask] * 12])
    free = set(decode(checkpoint.network, tokens, mask=mask)[2:].tolist())
    assert free.isdisjoint(decode(checkpoint.network, tokens, mask=mask, forbidden=sorted(free))[2:].tolist())


def test_the_seconds_of_a_run_are_those_of_decoding(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.5])
    monkeypatch.setattr(reference.time, "perf_counter", lambda: next(times))
    *_, final = PublishedLoop.of(checkpoint).generate("a", length=4).events
    assert final.seconds == 2.5  # type: ignore[union-attr]
