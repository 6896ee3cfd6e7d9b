"""Updates beside linear layers compute W x + s · B (A x), in the rows of the published layers, and can be trained."""

from __future__ import annotations

import copy
import importlib.util

import pytest
import torch
from torch import nn

from diffucli.model import nf4
from diffucli.model.lora import LoraLinear, LowRank, attach
from diffucli.model.network import Network

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes has no wheel for this machine"
)
TOKENS, ROWS = torch.arange(1, 20), torch.arange(19)


def random_update(rows: int, columns: int, rank: int = 4, scaling: float = 0.5) -> LowRank:
    return LowRank(torch.randn(rank, columns), torch.randn(rows, rank), scaling)


def test_an_update_beside_the_weights_is_an_update_of_the_weights(checkpoint):
    """Each matrix of every layer gets one, of a rank of its own, and the same product is added to a copy's weights."""
    torch.manual_seed(0)
    config, beside, merged = checkpoint.config, *(copy.deepcopy(checkpoint.network.model) for _ in range(2))
    updates = {
        f"model.layers.{i}.{name}": random_update(*shape, rank=1 + i + len(name) % 3, scaling=0.02)
        for i in range(config.num_layers)
        for name, shape in config.matrices.items()
        if (i, name) != (1, "self_attn.k_proj")  # one of a fused layer has none
    }
    attach(beside, updates)
    for name, weight in merged.named_parameters():
        for part, rows in config.split_fused(name, weight.data).items():
            if update := updates.get(part.removesuffix(".weight")):
                rows += update.scaling * update.lora_B @ update.lora_A  # noqa: PLW2901 — in place
    ours, theirs = (Network(model)(TOKENS[None], [ROWS]) for model in (beside, merged))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (ours - checkpoint.network(TOKENS[None], [ROWS])).abs().max() > 0.1
    assert not any(parameter.requires_grad for name, parameter in beside.named_parameters() if "lora" in name)


@pytest.mark.parametrize("form", ["plain", pytest.param("nf4", marks=needs_bitsandbytes)])
def test_a_and_b_can_be_trained_and_the_layer_below_them_stays(form):
    torch.manual_seed(0)
    base = nn.Linear(128, 96)
    if form == "nf4":
        bias = base.bias
        base = nf4.packed_layer(base, nf4.pack(base.weight.data), torch.float32)
        base.bias = bias
    base.requires_grad_(requires_grad=False)
    before = base.weight.clone()
    layer = LoraLinear(base, {"k_proj": random_update(32, 128)}, {"q_proj": 64, "k_proj": 32})
    layer.updates.requires_grad_()
    given, wanted = torch.randn(2, 3, 128, requires_grad=True), torch.randn(2, 3, 96)
    optimizer, losses = torch.optim.SGD([p for p in layer.parameters() if p.requires_grad], lr=0.1), []
    for _ in range(2):
        optimizer.zero_grad()
        losses.append(nn.functional.mse_loss(layer(given), wanted))
        losses[-1].backward()
        optimizer.step()
    assert losses[1] < losses[0]
    assert given.grad.abs().sum() > 0, "what stands before learns too"
    assert base.weight.grad is None
    assert torch.equal(base.weight, before)


def test_numbers_of_another_dtype_give_outputs_of_the_base_s():
    layer = LoraLinear(nn.Linear(8, 8).bfloat16(), {"o_proj": random_update(8, 8)}, {"o_proj": 8})
    assert layer(torch.randn(3, 8).bfloat16()).dtype == torch.bfloat16
