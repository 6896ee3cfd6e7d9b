"""The network computes what the published modelling code computes, and its checks see what would spoil it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from diffucli.errors import BadCheckpoint
from diffucli.model.network import Network, self_check
from diffucli.model.transformer import take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from diffucli.model.network import KVCache


@pytest.mark.parametrize("case", [0, 1, 2])
def test_logits_are_the_references_on_every_golden_canvas(checkpoint, golden, case, everywhere):
    """Golden logits are shifted already."""
    tensors = load_file(golden / "golden-logits.safetensors")
    found = everywhere(checkpoint.network, tensors[f"canvas.{case}"][0])
    torch.testing.assert_close(found, tensors[f"logits.{case}"][0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["dreamon", "p2", "blockwise", "llada"])
def test_logits_of_every_family_are_the_references(checkpoint_of, golden_of, family):
    """As the network gives them, without the shift."""
    tensors = load_file(golden_of(family) / "golden-logits.safetensors")
    for case in ("0", "1"):
        tokens = tensors[f"canvas.{case}"]
        found = checkpoint_of(family).network(tokens[None], [torch.arange(len(tokens))])
        torch.testing.assert_close(found, tensors[f"logits.{case}"], atol=1e-4, rtol=0)


def one(network: Network, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: KVCache | None = None) -> Tensor:
    """The logits of one canvas, or of a part of the canvas in slot 0."""
    if cache is None:
        return network(tokens[None], [rows])
    return network(tokens[None], [rows], starts=[start], cache=(cache, [0]), lengths=[cache.longest])


def test_only_the_rows_asked_for_are_answered_in_their_order(checkpoint):
    tokens = torch.arange(20)
    whole = one(checkpoint.network, tokens, torch.arange(20))
    rows = torch.tensor([7, 3, 19])
    torch.testing.assert_close(one(checkpoint.network, tokens, rows), whole[rows], atol=1e-5, rtol=0)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad


def test_every_canvas_of_a_batch_has_rows_of_its_own(checkpoint):
    """As many as it likes, or none; answered one canvas after the other."""
    network, batch = checkpoint.network, torch.stack([torch.arange(i, i + 20) for i in (0, 60, 90)])
    for counts in [(3, 1, 20), (1, 1, 1), (0, 5, 2), (4, 0, 0), (0, 0, 0)]:
        rows = [torch.randperm(20, generator=torch.Generator().manual_seed(i))[:n] for i, n in enumerate(counts)]
        found = network(batch, rows)
        assert found.shape == (sum(counts), 512)
        wanted = torch.cat([one(network, tokens, each) for tokens, each in zip(batch, rows, strict=True)])
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("start", [0, 3, 14])
def test_a_batch_answers_as_its_rows_alone_with_a_cache_and_without(checkpoint, start):
    """Parts of one canvas: each sees its own tokens, and the slot stays as it is."""
    network, rows = checkpoint.network, torch.tensor([5, 0, 2])
    tokens, cache = torch.arange(60, 80), network.new_cache(1, 20)
    one(network, tokens, rows, cache=cache)
    before = cache.keys.clone(), cache.values.clone()
    batch = torch.stack([tokens, tokens.flip(0), tokens + 100])[:, start : start + 6]
    torch.testing.assert_close(
        network(batch, [rows] * 3), torch.cat([one(network, row, rows) for row in batch]), atol=1e-5, rtol=0
    )
    together = network(batch, [rows] * 3, starts=[start] * 3, cache=(cache, [0] * 3), lengths=[20] * 3)
    assert torch.equal(cache.keys, before[0])
    assert torch.equal(cache.values, before[1])
    alone = torch.cat([one(network, row, rows, start=start, cache=cache) for row in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_every_position_reacts_to_every_token(checkpoint):
    tokens = torch.arange(1, 11)
    before = one(checkpoint.network, tokens, torch.arange(10))
    for position in range(10):
        changed = tokens.clone()
        changed[position] = 300
        after = one(checkpoint.network, changed, torch.arange(10))
        assert bool((before != after).any(-1).all())


def test_a_window_over_a_cache_answers_as_the_whole_does(checkpoint):
    """Wherever the window lies, at the first position and at the last too."""
    network, tokens = checkpoint.network, torch.arange(50, 80)
    cache = network.new_cache(1, 30)
    whole = one(network, tokens, torch.arange(30), cache=cache)
    torch.testing.assert_close(whole, one(network, tokens, torch.arange(30)), atol=1e-5, rtol=0)
    for start, stop in [(0, 5), (4, 20), (29, 30), (0, 30)]:
        window = one(network, tokens[start:stop], torch.arange(stop - start), start=start, cache=cache)
        torch.testing.assert_close(window, whole[start:stop], atol=1e-4, rtol=0)


def test_a_cache_holds_what_its_window_last_wrote(checkpoint):
    """A changed token shows in later windows that read it."""
    network, tokens = checkpoint.network, torch.arange(50, 70)
    cache = network.new_cache(1, 20)
    before = one(network, tokens, torch.tensor([0]), cache=cache)
    one(network, torch.tensor([7, 8]), torch.tensor([0]), start=10, cache=cache)
    after = one(network, tokens[:2], torch.tensor([0]), cache=cache)
    assert not torch.allclose(before, after, atol=1e-5)


def test_two_caches_do_not_mix(checkpoint):
    network, tokens = checkpoint.network, torch.arange(50, 70)
    first, other = network.new_cache(1, 20), network.new_cache(1, 20)
    before = one(network, tokens, torch.arange(20), cache=first)
    one(network, tokens.flip(0), torch.arange(20), cache=other)
    again = one(network, tokens[3:6], torch.arange(3), start=3, cache=first)
    torch.testing.assert_close(again, before[3:6], atol=1e-4, rtol=0)


# Slots: a cache for many canvases


def filled(network: Network, canvases: Sequence[Tensor], slots: Sequence[int], cache: KVCache) -> Tensor:
    """The logits of whole canvases of one length, whose keys and values go into `slots`."""
    rows = [torch.arange(len(tokens)) for tokens in canvases]
    lengths = [len(tokens) for tokens in canvases]
    return network(torch.stack(list(canvases)), rows, cache=(cache, slots), lengths=lengths)


@pytest.mark.parametrize("slots", [[0, 1, 2], [2, 3, 4], [0, 2, 4], [4, 1, 0]], ids=str)
def test_whole_canvases_are_stored_in_their_slots_and_no_others(checkpoint, slots):
    """Slots in a row are written in place, scattered ones by way of a copy."""
    network, cache = checkpoint.network, checkpoint.network.new_cache(5, 24)
    canvases = [torch.arange(i, i + 20) for i in (10, 60, 110)]
    found = filled(network, canvases, slots, cache)
    for i, (tokens, slot) in enumerate(zip(canvases, slots, strict=True)):
        own = network.new_cache(1, 20)
        wanted = one(network, tokens, torch.arange(20), cache=own)
        torch.testing.assert_close(found[20 * i : 20 * i + 20], wanted, atol=1e-5, rtol=0)
        for held, alone in ((cache.keys, own.keys), (cache.values, own.values)):
            torch.testing.assert_close(held[:, slot, :, :20], alone[:, 0], atol=1e-5, rtol=0)
    others = [slot for slot in range(5) if slot not in slots]
    assert not cache.keys[:, others].any()
    assert not cache.keys[:, :, :, 20:].any(), "nothing is written behind a canvas"


def test_slots_in_a_row_are_views_and_scattered_ones_copies(checkpoint):
    cache = checkpoint.network.new_cache(5, 24)
    for slots, shared in [([1, 2, 3], True), ([3], True), ([0, 2], False), ([2, 1], False), ([1, 1], False)]:
        layers = cache.layers(slots, 20, torch.arange(20))
        assert len(layers) == 3
        assert layers[0].keys.shape == (len(slots), 2, 20, 16)
        storage = cache.keys.untyped_storage().data_ptr()
        assert (layers[2].keys.untyped_storage().data_ptr() == storage) is shared


@pytest.mark.parametrize("slots", [[0, 1, 2], [3, 0, 2], [1, 1, 1]], ids=str)
def test_windows_of_canvases_of_different_lengths_answer_as_each_alone(checkpoint, slots):
    """Each at its own place; what lies behind the end of a shorter one is masked, whatever it holds."""
    network, cache, lengths = checkpoint.network, checkpoint.network.new_cache(4, 40), [24, 31, 40]
    if len(set(slots)) == 1:
        lengths = [31] * 3
    starts, count = [3, 25, 0], 6
    canvases = [torch.arange(10 * i, 10 * i + length) for i, length in enumerate(lengths)]
    if len(set(slots)) == 1:
        canvases = [canvases[0]] * 3
    cache.keys.fill_(9.0)
    cache.values.fill_(9.0)
    for tokens, slot in zip(canvases, slots, strict=True):
        network(tokens[None], [torch.arange(0)], cache=(cache, [slot]), lengths=[len(tokens)])
    parts = torch.stack([tokens[a : a + count] for tokens, a in zip(canvases, starts, strict=True)]) + 7
    rows = [torch.tensor([0, 5]), torch.tensor([2]), torch.arange(6)]
    found = network(parts, rows, starts=starts, cache=(cache, slots), lengths=lengths)
    wanted = []
    for tokens, part, start, each in zip(canvases, parts, starts, rows, strict=True):
        own = network.new_cache(1, len(tokens))
        one(network, tokens, torch.arange(0), cache=own)
        wanted.append(one(network, part, each, start=start, cache=own))
    torch.testing.assert_close(found, torch.cat(wanted), atol=1e-5, rtol=0)


def test_positions_may_be_the_same_for_all_or_each_its_own(checkpoint):
    """One row of positions is taken where all start alike, which is the same."""
    network, parts = checkpoint.network, torch.stack([torch.arange(5), torch.arange(20, 25)])
    rows = [torch.arange(5)] * 2
    alike = network(parts, rows, starts=[7, 7])
    apart = torch.cat([network(part[None], [torch.arange(5)], starts=[7]) for part in parts])
    torch.testing.assert_close(alike, apart, atol=1e-5, rtol=0)
    moved = network(parts, rows, starts=[7, 300])
    torch.testing.assert_close(moved[:5], alike[:5], atol=1e-5, rtol=0)
    assert torch.allclose(moved[5:], alike[5:], atol=1e-3), (
        "rotary positions are relative: a shift of all changes nothing"
    )


@pytest.mark.parametrize(("slots", "longest"), [(2, 20), (4, 20), (2, 33), (5, 40)])
def test_a_cache_that_grows_keeps_what_it_holds(checkpoint, slots, longest):
    network = checkpoint.network
    old = network.new_cache(2, 20)
    canvases = [torch.arange(50, 70), torch.arange(90, 110)]
    whole = filled(network, canvases, [0, 1], old)
    grown = network.new_cache(slots, longest, old=old)
    assert (grown.slots, grown.longest, grown.graphs) == (slots, longest, {})
    assert torch.equal(grown.keys[:, :2, :, :20], old.keys)
    assert torch.equal(grown.values[:, :2, :, :20], old.values)
    assert not grown.keys[:, 2:].any()
    for slot, tokens in enumerate(canvases):
        window = network(tokens[None, 4:9], [torch.arange(5)], starts=[4], cache=(grown, [slot]), lengths=[20])
        torch.testing.assert_close(window, whole[20 * slot + 4 : 20 * slot + 9], atol=1e-4, rtol=0)
    grown.keys.zero_()
    assert old.keys.any(), "the old one is not written to"


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_may_be_taken_of_one_sequence_or_of_many(batch):
    values = torch.randn(batch, 7, 4)
    rows = torch.tensor([6, 0, 2])
    assert torch.equal(take(values, rows), values[:, rows])
    each = torch.stack([torch.randperm(7)[:3] for _ in range(batch)])
    assert torch.equal(take(values, each), torch.stack([v[r] for v, r in zip(values, each, strict=True)]))
    angles = torch.randn(7, 4)
    assert torch.equal(take(angles, rows), angles[rows])
    assert torch.equal(take(angles, each), angles[each])


@pytest.fixture
def network(checkpoint) -> Network:
    """A copy of the golden network to be damaged."""
    return Network(copy.deepcopy(checkpoint.network.model))


def test_a_sound_network_passes(network, golden):
    self_check(network, golden)


def test_weights_that_were_never_filled_are_seen(network, golden):
    with torch.no_grad():
        for weight in network.model.parameters():
            weight.zero_()
    with pytest.raises(BadCheckpoint, match="does not see the last"):
        self_check(network, golden)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    ("held", "name"),
    [
        ("model.layers.1.mlp.gate_up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        *((name, name) for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")),
    ],
)
def test_a_single_weight_that_is_no_number_is_seen_and_named(network, golden, held, name, value):
    """In an embedding row that no test token touches as well; a published name is said."""
    with torch.no_grad():
        network.model.get_parameter(held)[-1] = value
    with pytest.raises(BadCheckpoint, match=f"{name} holds values that are not finite"):
        self_check(network, golden)


def test_outputs_that_overflow_are_seen(network, golden):
    with torch.no_grad():
        network.model.lm_head.weight.fill_(3e36)
        network.model.model.norm.weight.fill_(1e30)
    with pytest.raises(BadCheckpoint, match="not finite"):
        self_check(network, golden)


# Block-causal attention


@pytest.fixture(scope="module")
def causal(checkpoint_of) -> Network:
    """Blocks of four."""
    return checkpoint_of("blockwise").network


def test_a_position_sees_its_own_block_and_those_before_it(causal):
    tokens = torch.arange(40, 50)
    before = one(causal, tokens, torch.arange(10))
    for position in range(10):
        changed = tokens.clone()
        changed[position] = 300
        after = one(causal, changed, torch.arange(10))
        first = position // 4 * 4
        assert torch.equal(before[:first], after[:first])
        assert bool((before[first:] != after[first:]).any(-1).all())


def test_blocks_computed_one_after_the_other_into_a_cache_are_those_of_the_whole(causal):
    """What lies behind a block in the cache is not seen, whatever it is; rows may be any of a part."""
    tokens = torch.arange(40, 54)
    whole = one(causal, tokens, torch.arange(14))
    cache = causal.new_cache(1, 14)
    cache.keys.fill_(9.0)
    for start, stop, rows in [(0, 4, [3, 0]), (4, 12, [0, 5, 7]), (12, 14, [1])]:
        found = one(causal, tokens[start:stop], torch.tensor(rows), start=start, cache=cache)
        torch.testing.assert_close(found, whole[start:stop][rows], atol=1e-4, rtol=0)


@pytest.mark.parametrize("slots", [[0, 1], [2, 0]], ids=str)
def test_parts_of_canvases_are_stored_in_their_slots_wherever_they_stand(causal, slots):
    """Canvases of different lengths at different places, together; the last block of one is not whole."""
    canvases = [torch.arange(40, 50), torch.arange(90, 106)]
    cache, lengths = causal.new_cache(3, 20), [10, 16]
    cache.keys.fill_(9.0)
    parts = torch.stack([tokens[:8] for tokens in canvases])
    causal(parts, [torch.arange(0)] * 2, cache=(cache, slots), lengths=lengths)
    ends = torch.stack([canvases[0][8:10], canvases[1][8:10]])
    found = causal(ends, [torch.arange(2)] * 2, starts=[8, 8], cache=(cache, slots), lengths=lengths)
    torch.testing.assert_close(found[:2], one(causal, canvases[0], torch.arange(8, 10)), atol=1e-4, rtol=0)


def test_rows_that_share_a_slot_leave_the_keys_of_the_first_in_it(causal):
    cache, tokens = causal.new_cache(2, 8), torch.arange(40, 48)
    guesses = torch.stack([tokens, tokens + 100, tokens + 200])
    causal(guesses, [torch.arange(0)] * 3, cache=(cache, [1, 1, 1]), lengths=[8] * 3)
    own = causal.new_cache(1, 8)
    one(causal, tokens, torch.arange(0), cache=own)
    torch.testing.assert_close(cache.keys[:, 1], own.keys[:, 0], atol=1e-6, rtol=0)
    assert not cache.keys[:, 0].any()


def test_the_self_check_of_block_causal_attention_sees_a_wrong_mask(causal, golden_of):
    self_check(causal, golden_of("blockwise"))
    full = replace(causal, block=None)
    self_check(full, golden_of("blockwise"))

    class Wrong:
        """Sees all, and is said not to."""

        model, block = causal.model, 4

        def __call__(self, *args: object) -> Tensor:
            return full(*args)

    with pytest.raises(BadCheckpoint, match="sees the next block"):
        self_check(Wrong(), golden_of("blockwise"))
