"""The plan of memory: activations as autograd keeps them, the 7B on a card of 24 GB, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from diffucli.decode.canvas import Span
from diffucli.errors import NoRoom
from diffucli.model.config import Config
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer
from diffucli.train.plan import Load, activation_bytes, adapter_parameters, plan, require_room
from diffucli.train.scoring import logprobs, recompute_layers
from diffucli.train.weights import TrainedWeights

SHAPE = Config(128, hidden_size=64, intermediate_size=192, num_layers=4, num_heads=4, num_kv_heads=2)
SEVEN = Config(152064, hidden_size=3584, intermediate_size=18944, num_layers=28, num_heads=28, num_kv_heads=4)
LOAD = Load(rank=0, rows=4, tokens=96, reference=True, recompute=False)


def kept(load: Load) -> int:
    """Bytes that autograd really keeps of a forward, weights aside."""
    network = Network(Transformer(SHAPE))
    TrainedWeights(SimpleNamespace(config=SHAPE, network=network), rank=load.rank, with_reference=False)
    if load.recompute:
        recompute_layers(network)
    own = {parameter.untyped_storage().data_ptr() for parameter in network.model.parameters()}
    seen = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    tokens = torch.randint(0, 100, (load.rows, load.tokens))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        span, wanted = Span(load.tokens - 8, load.tokens), torch.ones(load.rows, 8, dtype=torch.bool)
        logprobs(network, tokens, span, tokens[:, -8:], wanted)
    return sum(size for size, _ in seen.values())


@pytest.mark.parametrize("rank", [0, 4])
def test_activations_are_those_that_autograd_keeps(rank):
    load = replace(LOAD, rank=rank)
    assert 0.7 < kept(load) / activation_bytes(SHAPE, load, width=4) <= 1
    again = replace(load, recompute=True)
    one_layer = activation_bytes(SHAPE, load, width=4) / SHAPE.num_layers
    inputs = activation_bytes(SHAPE, again, width=4) - one_layer
    assert 0.8 < kept(again) / inputs < 1.3, "but for the layer that is computed again"
    assert kept(again) < 0.4 * kept(load)


def test_an_adapter_has_the_parameters_that_are_counted():
    network = Network(Transformer(SHAPE))
    weights = TrainedWeights(SimpleNamespace(config=SHAPE, network=network), rank=4, with_reference=False)
    assert sum(each.numel() for each in weights.parameters) == adapter_parameters(SHAPE, 4)


def test_a_7b_is_trained_on_a_card_of_24_gb_by_an_adapter_alone(monkeypatch):
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda device: int(24e9))
    load = Load(rank=16, rows=3, tokens=400, reference=True, recompute=True)
    found = require_room(SEVEN, load, quant="nf4", device="cuda")
    assert 6e9 < found.total < 14e9
    with pytest.raises(NoRoom) as caught:
        require_room(SEVEN, replace(load, rank=0), quant="none", device="cuda")
    assert "training needs" in caught.value.message
    assert plan(SEVEN, replace(load, rank=0), quant="none", device="cuda").total > 100e9


def test_too_little_memory_says_what_would_fit(monkeypatch):
    need = plan(SHAPE, LOAD, quant="none", device="cpu")
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda device: need.total - 1)
    with pytest.raises(NoRoom) as caught:
        require_room(SHAPE, LOAD, quant="none", device="cpu")
    assert caught.value.hint == "try --recompute"
    assert "activations" in caught.value.message
