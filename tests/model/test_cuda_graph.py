"""A recorded step computes what the step itself does, wherever its window lies; what cannot be recorded is not used.

A CUDA graph repeats kernels on memory that stays where it is. `Tape` does the same on a CPU, with torch's operators for
kernels: what a step takes from Python when it is recorded is baked in, and asking the device for a number shows.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.policy import PRESETS
from diffucli.decode.predict import Windowed
from diffucli.model.cuda_graph import Recorder, recorder
from diffucli.model.memory import Plan
from diffucli.model.network import Network
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Tape(TorchDispatchMode):
    """Notes every operator with the very tensors that it read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Once more, into the same memory."""
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            for place, now in zip(flat(result), flat(again), strict=True):
                place.copy_(now)


def flat(result: object) -> list[Tensor]:
    values = result if isinstance(result, tuple | list) else [result]
    return [value for value in values if isinstance(value, torch.Tensor)]


class Deck:
    """Records on tapes, and remembers them."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.replays = 0

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        with (tape := Tape()):
            result = run()
        self.tapes.append(tape)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return result, replay


@pytest.fixture
def deck() -> Deck:
    return Deck()


@pytest.fixture
def replaying(checkpoint, deck) -> Network:
    """The golden network, whose window steps are recorded."""
    return Network(checkpoint.network.model, recorder=Recorder(deck))


def test_a_replayed_window_answers_as_the_step_itself_wherever_it_lies(checkpoint, replaying, deck):
    """With other tokens, other rows and at other positions than it was recorded with."""
    tokens, one, other = torch.arange(50, 80), replaying.cache(30), checkpoint.network.cache(30)
    everywhere = torch.arange(30)
    assert torch.equal(replaying(tokens, everywhere, cache=one), checkpoint.network(tokens, everywhere, cache=other)), (
        "a whole canvas is not recorded"
    )
    generator = torch.Generator().manual_seed(0)
    for start in (4, 4, 4, 11, 0, 22, 4):
        window = torch.randint(0, 500, (8,), generator=generator)
        rows = torch.randperm(8, generator=generator)[: 1 + start % 5]
        found = replaying(window, rows, start=start, cache=one)
        wanted = checkpoint.network(window, rows, start=start, cache=other)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(one.keys, other.keys, atol=1e-5, rtol=0)
    assert len(deck.tapes) == 1, "once for all windows of a length"
    assert deck.replays == 1 + 6, "the first one is compared, the first window is not recorded"


def test_an_answer_holds_while_the_next_one_is_computed(replaying):
    cache, tokens, rows = replaying.cache(30), torch.arange(50, 80), torch.arange(5)
    replaying(tokens, rows, cache=cache)
    found = [replaying(tokens[4:9], rows, start=4, cache=cache) for _ in range(3)]
    before = found[-1].clone()
    replaying(tokens[9:14], rows, start=9, cache=cache)
    assert torch.equal(found[-1], before)


def test_a_recorded_step_never_waits_for_the_device(replaying, deck):
    """Nor takes a number from it to Python, which a graph could not repeat."""
    cache, tokens, rows = replaying.cache(30), torch.arange(50, 80), torch.arange(5)
    for _ in range(2):
        replaying(tokens[4:9], rows, start=4, cache=cache)
    names = {str(func) for func, *_ in deck.tapes[0].calls}
    assert not names & {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.item.default"}
    assert any("index_put_" in name for name in names), "keys and values are written in place"


def test_windows_of_other_lengths_have_steps_of_their_own(replaying, deck):
    cache, tokens = replaying.cache(30), torch.arange(50, 80)
    for length in (5, 7, 5, 7, 7, 5):
        replaying(tokens[:length], torch.arange(length), cache=cache)
    assert len(deck.tapes) == 2
    assert deck.replays == 2 * (1 + 2)


def test_a_batch_and_what_has_no_cache_are_not_recorded(replaying, deck):
    cache, tokens, rows = replaying.cache(30), torch.arange(50, 80), torch.arange(5)
    replaying(tokens, rows, cache=cache)
    for _ in range(3):
        replaying(tokens[:5].repeat(2, 1), rows, cache=cache)
        replaying(tokens[:5], rows)
    assert not deck.tapes


def test_a_run_records_once_for_all_its_blocks_and_writes_the_same(checkpoint, replaying, deck):
    """Keys and values stay where they are from block to block."""
    tokens = torch.arange(60, 110)
    found, wanted = (Windowed(network) for network in (replaying, checkpoint.network))
    canvases = [Canvas(tokens, (Span(10, 42),), mask=0) for _ in range(2)]
    for start in (10, 18, 26, 34):
        for step in range(4):
            window = Span(start, start + 8)
            asked = canvases[0].masked(window)
            logits = [each(canvas, window, asked) for each, canvas in zip((found, wanted), canvases, strict=True)]
            torch.testing.assert_close(*logits, atol=1e-4, rtol=0)
            for canvas in canvases:
                canvas.commit([int(asked[0])], [70 + step])
    assert len(deck.tapes) == 1


def test_a_whole_text_is_the_same_with_recorded_steps(checkpoint, replaying, deck):
    texts = []
    for network in (replaying, checkpoint.network):
        run = Engine(replace(checkpoint, network=network), PRESETS["balanced"]).generate("write a quicksort", length=96)
        texts.append([event.tokens for event in run.events][-1])
    assert texts[0] == texts[1]
    assert deck.replays > 10


def fails(_: object) -> tuple[Tensor, Callable[[], None]]:
    raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def is_too_much(_: object) -> tuple[Tensor, Callable[[], None]]:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def lies(run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    return run() + 1, lambda: None


def is_no_number(run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    return run() * torch.nan, lambda: None


@pytest.mark.parametrize(
    ("record", "trouble"),
    [
        (fails, "operation not permitted when stream is capturing"),
        (is_too_much, "CUDA out of memory."),
        (lies, "a replayed step gave other numbers"),
        (is_no_number, "a replayed step gave other numbers"),
    ],
)
def test_what_cannot_be_recorded_is_computed_as_ever_and_tried_once(checkpoint, record, trouble):
    tries = []

    def counted(run):
        tries.append(run)
        return record(run)

    network = Network(checkpoint.network.model, recorder=Recorder(counted))
    tokens, rows = torch.arange(50, 80), torch.arange(5)
    for _ in range(2):
        one, other = network.cache(30), checkpoint.network.cache(30)
        for start in (0, 4, 4, 9):
            found = network(tokens[start : start + 5], rows, start=start, cache=one)
            assert torch.equal(found, checkpoint.network(tokens[start : start + 5], rows, start=start, cache=other))
    assert network.recorder is not None
    assert network.recorder.trouble == trouble
    assert len(tries) == 1


def test_a_recorded_step_goes_with_its_canvas(replaying):
    """At once: a graph holds memory of the device, and nothing there makes Python look for garbage."""
    cache, tokens, rows = replaying.cache(30), torch.arange(50, 80), torch.arange(5)
    for _ in range(2):
        replaying(tokens[:5], rows, cache=cache)
    keys = weakref.ref(cache.keys)
    gc.disable()
    try:
        del cache
        replaying.recorder._record.tapes.clear()
        assert keys() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("device", "offloaded", "records"), [("cuda", 0, True), ("cuda:1", 0, True), ("cuda", 3, False), ("cpu", 0, False)]
)
def test_steps_are_recorded_on_nvidias_gpus_where_all_layers_are_there(device, offloaded, records):
    plan = Plan(device=device, quant="none", weights=0, cache=0, logits=0, work=0, free=None, offloaded=offloaded)
    assert (recorder(plan) is not None) is records
