"""The published loop, written out, and the preset `exact` are the same function."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from diffucli.bench import reference
from diffucli.bench.reference import PublishedLoop, decode
from diffucli.bench.writers import UNREPAIRED, WRITING, Writer
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.loop import alone, denoise
from diffucli.decode.policy import PRESETS
from diffucli.decode.sample import Constraints
from diffucli.events import Finished, Started
from diffucli.model.load import Checkpoint, load
from diffucli.tasks.write import default_decode
from diffucli.train.hf_reference import published
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from torch import Tensor

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
    *_, final = alone(checkpoint.network, denoise(canvas, PRESETS["exact"], Constraints()))
    written = decode(published(checkpoint.network, checkpoint.config), tokens, mask=mask)
    assert tuple(written.tolist()) == final.tokens  # type: ignore[union-attr]


def test_it_stands_in_for_our_loop_with_any_number_of_holes(checkpoint: Checkpoint) -> None:
    """Its runs ask nothing and show no steps, but begin, end and leave the canvas as ours do."""
    tokens, ends = torch.arange(40), []
    for loop in (denoise, PublishedLoop.of(checkpoint)):
        canvas = Canvas(tokens, [Span(9, 12), Span(20, 31)], mask=checkpoint.tokenizer.mask)
        events = list(alone(checkpoint.network, loop(canvas, PRESETS["exact"], Constraints())))
        assert canvas.masks_left == 0
        assert tuple(canvas.tokens.tolist()) == events[-1].tokens  # type: ignore[union-attr]
        ends.append((events[0], events[-1].tokens, events[-1].reason, events[-1].nfe, events[-1].holes))  # type: ignore[union-attr]
    assert ends[0] == ends[1]
    assert ends[0][3] == 14
    assert [type(event) for event in events] == [Started, Finished]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_policy_is_that_of_the_loop_whatever_a_writer_has(checkpoint: Checkpoint, preset: str) -> None:
    """Even where our loop would stop at an end token: what stands behind it is written too."""
    loop = PublishedLoop.of(checkpoint)
    finals = [
        list(Writer(checkpoint, policy, loop, effort=WRITING).answer("a", length=12, verify="off"))[-1]
        for policy in (PRESETS["exact"], PRESETS[preset])
    ]
    tokens = [event.tokens for event in finals if isinstance(event, Finished)]
    assert tokens[0] == tokens[1]
    assert checkpoint.tokenizer.mask not in tokens[1][-12:]


@pytest.mark.parametrize("least", [0, 16], ids=["short", "full"])
@pytest.mark.parametrize("request_", ["write a quicksort", "a stack class"])
def test_on_mini_it_answers_what_exact_answers(mini: Checkpoint, request_: str, least: int) -> None:
    """Though the one forbids what may not stand in code and the other does not: mini never wants it."""
    seen, results = [], []
    for loop in (PublishedLoop.of(mini), default_decode):
        writer = Writer(mini, PRESETS["exact"], loop, effort=UNREPAIRED)
        events: list[object] = []
        result = pull(writer.answer(request_, length=16, min_tokens=least), events.append)
        first, last = events[0], events[-1]
        assert isinstance(last, Finished)
        seen.append((first, last.tokens))
        results.append((result.text, result.pieces, result.ended, result.check, result.nfe))
    assert seen[0] == seen[1]
    assert results[0] == results[1]
    assert results[0][-1] == 16


def test_every_step_sees_the_whole_canvas_and_asks_for_every_row(fake) -> None:
    network, asked = fake(), []

    class Whole:
        shift = network.shift

        def __call__(self, tokens: Tensor, rows: Tensor) -> Tensor:
            asked.append(rows.tolist())
            return network(tokens[None], [rows])

    decode(Whole(), torch.tensor([1, 2, 3, *[12] * 5]), mask=12)
    assert network.forwards == [(1, 8)] * 5
    assert asked == [list(range(8))] * 5


def test_what_is_forbidden_never_appears(checkpoint: Checkpoint) -> None:
    mask, network = checkpoint.tokenizer.mask, published(checkpoint.network, checkpoint.config)
    tokens = torch.tensor([5, 6, *[mask] * 12])
    free = set(decode(network, tokens, mask=mask)[2:].tolist())
    assert free.isdisjoint(decode(network, tokens, mask=mask, forbidden=sorted(free))[2:].tolist())


def test_end_tokens_are_forbidden_everywhere_where_a_hole_has_a_least_length(checkpoint: Checkpoint) -> None:
    loop, tokens, written = PublishedLoop.of(checkpoint), torch.arange(16), []
    for least in (0, 1):
        ends = tuple(written[0]) if written else ()
        canvas = Canvas(tokens, [Span(4, 16)], mask=checkpoint.tokenizer.mask)
        list(loop(canvas, PRESETS["exact"], Constraints(ends=ends, min_tokens=(least,))))
        written.append(set(canvas.tokens[4:].tolist()))
    assert written[0].isdisjoint(written[1])


def test_the_seconds_of_a_run_are_those_of_decoding(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, times = PublishedLoop.of(checkpoint), iter([10.0, 12.5])
    canvas = Canvas(torch.arange(8), [Span(4, 8)], mask=checkpoint.tokenizer.mask)
    monkeypatch.setattr(reference.time, "perf_counter", lambda: next(times))
    *_, final = loop(canvas, PRESETS["exact"], Constraints())
    assert final.seconds == 2.5  # type: ignore[union-attr]
