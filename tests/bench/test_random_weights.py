"""A network of random weights is one like any other, of the shape and the size that were asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit

from diffucli.bench.random_weights import random_network
from diffucli.model.config import Config
from diffucli.model.memory import plan
from diffucli.model.network import self_check

CONFIG = Config(320, 128, 192, num_layers=3, num_heads=4, num_kv_heads=2, max_position_embeddings=64)


@pytest.mark.parametrize("quant", ["nf4", "none"])
@pytest.mark.parametrize("tied", [False, True])
def test_it_computes_and_sees_both_sides(quant, tied, tmp_path):
    network = random_network(replace(CONFIG, tie_word_embeddings=tied), plan(CONFIG, quant=quant, device="cpu"))
    self_check(network, tmp_path)
    logits = network(torch.arange(8)[None], [torch.arange(8)])
    assert logits.shape == (8, 320)
    assert logits.std() > 0


@pytest.mark.parametrize("quant", ["nf4", "none"])
def test_it_holds_what_the_plan_says(quant):
    chosen = plan(CONFIG, quant=quant, device="cpu")
    model = random_network(CONFIG, chosen).model
    packed = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    assert len(packed) == (3 * 4 if quant == "nf4" else 0)
    held = sum(value.numel() * value.element_size() for value in model.parameters())
    assert held == pytest.approx(chosen.weights, rel=0.06), "scales stand beside the parameters"
    places = [layer.weight.data_ptr() for layer in packed]
    assert len(set(places)) == len(places), "each in memory of its own"
