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
from adapters import write_adapter
from torch.utils._python_dispatch import TorchDispatchMode

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Progress
from diffucli.decode.loop import alone, denoise, together
from diffucli.decode.policy import PRESETS
from diffucli.decode.predict import Predictor, Query
from diffucli.decode.sample import Constraints
from diffucli.events import Finished
from diffucli.model.cuda_graph import Recorder, recorder
from diffucli.model.load import load
from diffucli.model.memory import Plan
from diffucli.model.network import MOST_GRAPHS, Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from diffucli.model.network import KVCache


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


def ask(
    network: Network, tokens: Tensor, rows: Tensor, *, cache: KVCache, start: int = 0, slot: int = 0, length: int = 30
) -> Tensor:
    """The logits of the canvas in a slot, or of a part of it."""
    return network(tokens[None], [rows], starts=[start], cache=(cache, [slot]), lengths=[length])


def test_a_replayed_window_answers_as_the_step_itself_wherever_it_lies(checkpoint, replaying, deck):
    """With other tokens, other rows and at other positions than it was recorded with."""
    tokens, one, other = torch.arange(50, 80), replaying.new_cache(1, 30), checkpoint.network.new_cache(1, 30)
    everywhere = torch.arange(30)
    whole, same = (
        ask(each, tokens, everywhere, cache=c) for each, c in ((replaying, one), (checkpoint.network, other))
    )
    assert torch.equal(whole, same), "a whole canvas is not recorded"
    generator = torch.Generator().manual_seed(0)
    for start in (4, 4, 4, 11, 0, 22, 4):
        window = torch.randint(0, 500, (8,), generator=generator)
        rows = torch.randperm(8, generator=generator)[: 1 + start % 5]
        found = ask(replaying, window, rows, start=start, cache=one)
        wanted = ask(checkpoint.network, window, rows, start=start, cache=other)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(one.keys, other.keys, atol=1e-5, rtol=0)
    assert len(deck.tapes) == 1, "once for all windows of a length"
    assert deck.replays == 1 + 6, "the first one is compared, the first window is not recorded"


def test_the_mask_of_block_causal_attention_is_computed_in_the_recorded_step(checkpoint_of, deck):
    """So one record serves every block, and what lies behind it in the cache is not seen."""
    plain = checkpoint_of("blockwise").network
    recorded = replace(plain, recorder=Recorder(deck))
    tokens, one, other = torch.arange(50, 80), recorded.new_cache(1, 30), plain.new_cache(1, 30)
    one.keys.fill_(9.0)
    for start in (0, 4, 8, 12, 4):
        found, wanted = (
            ask(network, tokens[start : start + 4], torch.arange(4), start=start, cache=cache)
            for network, cache in ((recorded, one), (plain, other))
        )
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (len(deck.tapes), deck.replays) == (1, 1 + 4)


def test_an_adapter_is_recorded_with_the_weights(checkpoint, golden, deck, tmp_path):
    write_adapter(tmp_path / "lora", checkpoint.config)
    plain = load(golden, device="cpu", adapter=tmp_path / "lora").network
    recorded = replace(plain, recorder=Recorder(deck))
    one, other = (each.new_cache(1, 30) for each in (recorded, plain))
    window = torch.arange(60, 68)
    for start in (4, 4, 11):
        found, wanted = (
            ask(network, window, torch.arange(8), start=start, cache=cache)
            for network, cache in ((recorded, one), (plain, other))
        )
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (len(deck.tapes), deck.replays) == (1, 1 + 2)


def test_an_answer_holds_while_the_next_one_is_computed(replaying):
    cache, tokens, rows = replaying.new_cache(1, 30), torch.arange(50, 80), torch.arange(5)
    ask(replaying, tokens, rows, cache=cache)
    found = [ask(replaying, tokens[4:9], rows, start=4, cache=cache) for _ in range(3)]
    before = found[-1].clone()
    ask(replaying, tokens[9:14], rows, start=9, cache=cache)
    assert torch.equal(found[-1], before)


def test_a_recorded_step_never_waits_for_the_device(replaying, deck):
    """Nor takes a number from it to Python, which a graph could not repeat."""
    cache, tokens, rows = replaying.new_cache(1, 30), torch.arange(50, 80), torch.arange(5)
    for _ in range(2):
        ask(replaying, tokens[4:9], rows, start=4, cache=cache)
    names = {str(func) for func, *_ in deck.tapes[0].calls}
    assert not names & {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.item.default"}
    assert any("index_put_" in name for name in names), "keys and values are written in place"


def test_windows_of_other_lengths_have_steps_of_their_own(replaying, deck):
    cache, tokens = replaying.new_cache(1, 30), torch.arange(50, 80)
    for length in (5, 7, 5, 7, 7, 5):
        ask(replaying, tokens[:length], torch.arange(length), cache=cache)
    assert len(deck.tapes) == 2
    assert deck.replays == 2 * (1 + 2)


def test_slots_and_canvases_of_other_lengths_have_steps_of_their_own(checkpoint, replaying, deck):
    """A recorded step reads and writes the keys of one slot, up to one length."""
    one, other, rows = replaying.new_cache(3, 30), checkpoint.network.new_cache(3, 30), torch.arange(5)
    places = [(slot, length) for slot in (0, 2) for length in (30, 24)]
    for slot, length in places:
        tokens = torch.arange(40 + slot, 40 + slot + length)
        for network, cache in ((replaying, one), (checkpoint.network, other)):
            ask(network, tokens, rows, cache=cache, slot=slot, length=length)
        for start in (3, 9, 3):
            window = tokens[start : start + 5] + 1
            found = ask(replaying, window, rows, cache=one, start=start, slot=slot, length=length)
            wanted = ask(checkpoint.network, window, rows, cache=other, start=start, slot=slot, length=length)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert len(deck.tapes) == len(places)
    assert set(one.graphs) == {(slot, length, 5) for slot, length in places}
    assert not one.keys[:, 1].any(), "a slot that nobody asked about is empty"


def test_the_least_recently_used_step_goes_where_there_are_too_many(replaying, deck):
    """A recorded step holds memory of the device. What is used all the time stays."""
    tokens, cache = torch.arange(50, 80), replaying.new_cache(1, 30)

    def window(length: int) -> None:
        ask(replaying, tokens[:length], torch.arange(length), cache=cache)

    for length in (1, 2, 1, 2):
        window(length)
    for length in range(3, MOST_GRAPHS + 2):
        window(length)
        window(1)
    assert [length for _, _, length in cache.graphs] == [*range(3, MOST_GRAPHS + 1), MOST_GRAPHS + 1, 1]
    assert cache.graphs[0, 30, 1] is not None
    assert len(deck.tapes) == 2
    replays = deck.replays
    window(2)
    assert len(cache.graphs) == MOST_GRAPHS
    assert deck.replays == replays, "it is a window that was not seen yet"
    window(2)
    assert len(deck.tapes) == 3, "so it is recorded at the next one"


def test_a_step_that_goes_frees_its_memory_at_once(replaying, deck):
    tokens, cache = torch.arange(50, 80), replaying.new_cache(1, 30)
    for length in (2, 2, *range(3, MOST_GRAPHS + 2)):
        ask(replaying, tokens[:length], torch.arange(length), cache=cache)
    gone = weakref.ref(cache.graphs[0, 30, 2])
    gc.disable()
    try:
        ask(replaying, tokens[:1], torch.arange(1), cache=cache)
        assert gone() is None
    finally:
        gc.enable()


def test_a_cache_that_grew_records_anew(replaying, deck):
    """The old steps would write where nobody reads."""
    tokens, rows, cache = torch.arange(50, 80), torch.arange(5), replaying.new_cache(1, 30)
    for _ in range(2):
        for _ in range(2):
            ask(replaying, tokens[:5], rows, cache=cache)
        cache = replaying.new_cache(2, 30, old=cache)
        assert cache.graphs == {}
    assert len(deck.tapes) == 2


def test_a_batch_and_what_has_no_cache_are_not_recorded(replaying, deck):
    cache, tokens, rows = replaying.new_cache(1, 30), torch.arange(50, 80), torch.arange(5)
    ask(replaying, tokens, rows, cache=cache)
    for _ in range(3):
        replaying(tokens[:5].repeat(2, 1), [rows] * 2, starts=[0, 0], cache=(cache, [0, 0]), lengths=[30, 30])
        replaying(tokens[None, :5], [rows])
    assert not deck.tapes


def test_a_run_records_once_for_all_its_blocks_and_writes_the_same(checkpoint, replaying, deck):
    """Keys and values stay where they are from block to block."""
    predictors = [Predictor(network) for network in (replaying, checkpoint.network)]
    canvas = Canvas(torch.arange(60, 110), [Span(10, 42)], mask=0)
    for start in (10, 18, 26, 34):
        for step in range(4):
            window = Span(start, start + 8)
            positions = canvas.open_masks(window)
            query = Query(canvas.tokens.clone(), window, positions, "dual", Progress(0, 1))
            (found,), (wanted,) = (predictor.answer([(0, [query])]) for predictor in predictors)
            torch.testing.assert_close(found.logits[0], wanted.logits[0], atol=1e-4, rtol=0)
            canvas.commit([int(positions[0])], [70 + step])
    assert len(deck.tapes) == 1


def runs(checkpoint):
    """Two long texts."""
    vocabulary = checkpoint.tokenizer
    for query in ("write a quicksort", "a stack"):
        prefix = vocabulary.chat(query, prefill="```python\n")
        hole = Span(len(prefix), len(prefix) + 96)
        canvas = Canvas([*prefix, *[0] * 96], [hole], mask=vocabulary.mask)
        yield denoise(canvas, PRESETS["balanced"], Constraints((vocabulary.mask,), vocabulary.vocab_size))


def test_a_whole_text_is_the_same_with_recorded_steps(checkpoint, replaying, deck):
    for recorded, plain in zip(runs(checkpoint), runs(checkpoint), strict=True):
        *_, found = alone(replaying, recorded)
        *_, wanted = alone(checkpoint.network, plain)
        assert found.tokens == wanted.tokens
    assert deck.replays > 10


def test_texts_that_are_written_together_are_the_same_with_recorded_steps(checkpoint, replaying, deck):
    """Steps of several rows are not recorded; those of whoever is left alone are."""
    texts = []
    for network in (replaying, checkpoint.network):
        events = together(network, list(runs(checkpoint)))
        texts.append({i: event.tokens for i, event in events if isinstance(event, Finished)})
    assert texts[0] == texts[1]
    assert len(texts[0]) == 2


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
        one, other = network.new_cache(1, 30), checkpoint.network.new_cache(1, 30)
        for start in (0, 4, 4, 9):
            found = ask(network, tokens[start : start + 5], rows, start=start, cache=one)
            wanted = ask(checkpoint.network, tokens[start : start + 5], rows, start=start, cache=other)
            assert torch.equal(found, wanted)
    assert network.recorder is not None
    assert network.recorder.trouble == trouble
    assert len(tries) == 1


def test_a_recorded_step_goes_with_its_canvas(replaying):
    """At once: a graph holds memory of the device, and nothing there makes Python look for garbage."""
    cache, tokens, rows = replaying.new_cache(1, 30), torch.arange(50, 80), torch.arange(5)
    for _ in range(2):
        ask(replaying, tokens[:5], rows, cache=cache)
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
