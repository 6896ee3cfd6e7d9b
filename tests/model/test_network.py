"""The network computes what the published modelling code computes, and its checks see what would spoil it."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file

from diffucli.errors import BadCheckpoint
from diffucli.model.network import Network, self_check


@pytest.mark.parametrize("case", [0, 1, 2])
def test_logits_are_the_references_on_every_golden_canvas(checkpoint, golden, case, everywhere):
    """Golden logits are shifted already."""
    tensors = load_file(golden / "golden-logits.safetensors")
    found = everywhere(checkpoint.network, tensors[f"canvas.{case}"][0])
    torch.testing.assert_close(found, tensors[f"logits.{case}"][0], atol=1e-4, rtol=0)


def test_only_the_rows_asked_for_are_answered_in_their_order(checkpoint):
    tokens = torch.arange(20)
    whole = checkpoint.network(tokens, torch.arange(20))
    rows = torch.tensor([7, 3, 19])
    torch.testing.assert_close(checkpoint.network(tokens, rows), whole[rows], atol=1e-5, rtol=0)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad


@pytest.mark.parametrize("start", [0, 3, 14])
def test_a_batch_answers_as_its_rows_alone_with_a_cache_and_without(checkpoint, start):
    """What a batch reads from a cache stays as it is."""
    network, rows = checkpoint.network, torch.tensor([5, 0, 2])
    tokens, cache = torch.arange(60, 80), network.cache(20)
    network(tokens, rows, cache=cache)
    before = cache.keys.clone(), cache.values.clone()
    batch = torch.stack([tokens, tokens.flip(0), tokens + 100])[:, start : start + 6]
    torch.testing.assert_close(
        network(batch, rows), torch.stack([network(row, rows) for row in batch]), atol=1e-5, rtol=0
    )
    together = network(batch, rows, start=start, cache=cache)
    assert torch.equal(cache.keys, before[0])
    assert torch.equal(cache.values, before[1])
    alone = torch.stack([network(row, rows, start=start, cache=cache) for row in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_every_position_reacts_to_every_token(checkpoint):
    tokens = torch.arange(1, 11)
    before = checkpoint.network(tokens, torch.arange(10))
    for position in range(10):
        changed = tokens.clone()
        changed[position] = 300
        after = checkpoint.network(changed, torch.arange(10))
        assert bool((before != after).any(-1).all())


def test_a_window_over_a_cache_answers_as_the_whole_does(checkpoint):
    """Wherever the window lies, at the first position and at the last too."""
    network, tokens = checkpoint.network, torch.arange(50, 80)
    cache = network.cache(30)
    whole = network(tokens, torch.arange(30), cache=cache)
    torch.testing.assert_close(whole, network(tokens, torch.arange(30)), atol=1e-5, rtol=0)
    for start, stop in [(0, 5), (4, 20), (29, 30), (0, 30)]:
        window = network(tokens[start:stop], torch.arange(stop - start), start=start, cache=cache)
        torch.testing.assert_close(window, whole[start:stop], atol=1e-4, rtol=0)


def test_a_cache_holds_what_its_window_last_wrote(checkpoint):
    """A changed token shows in later windows that read it."""
    network, tokens = checkpoint.network, torch.arange(50, 70)
    cache = network.cache(20)
    before = network(tokens, torch.tensor([0]), cache=cache)
    network(torch.tensor([7, 8]), torch.tensor([0]), start=10, cache=cache)
    after = network(tokens[:2], torch.tensor([0]), cache=cache)
    assert not torch.allclose(before, after, atol=1e-5)


def test_two_caches_do_not_mix(checkpoint):
    network, tokens = checkpoint.network, torch.arange(50, 70)
    one, other = network.cache(20), network.cache(20)
    before = network(tokens, torch.arange(20), cache=one)
    network(tokens.flip(0), torch.arange(20), cache=other)
    again = network(tokens[3:6], torch.arange(3), start=3, cache=one)
    torch.testing.assert_close(again, before[3:6], atol=1e-4, rtol=0)


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
