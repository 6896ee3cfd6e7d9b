"""Networks with random weights, made on the device that they run on: for measuring time and memory.

Knows no files.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffucli.model import nf4
from diffucli.model.cuda_graph import recorder
from diffucli.model.load import dtype_of, put
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer

if TYPE_CHECKING:
    from diffucli.model.config import Config
    from diffucli.model.memory import Plan

STD = 0.02


def random_network(config: Config, plan: Plan) -> Network:
    """A network of `config` on the plan's device, packed if the plan says so.

    Packed layers of one shape hold the same numbers, each in memory of its own: packing takes long, and how long a
    product takes does not depend on the numbers.
    """
    device, dtype = torch.device(plan.device), dtype_of(plan)
    with torch.device("meta"):
        model = Transformer(config)
    if plan.quant == "nf4":
        _pack(model, config, device, dtype)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            put(model, name, _numbers(name, parameter.shape, device, dtype))
    model.tie()
    model.eval()
    return Network(model, recorder=recorder(plan))


def _pack(model: nn.Module, config: Config, device: torch.device, dtype: torch.dtype) -> None:
    """Replaces the layers that four bits can pack by packed ones."""
    made: dict[tuple[int, int, bool], nn.Module] = {}
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        parts = config.split_fused(f"{name}.weight", layer.weight)
        if not config.packed_weights.issuperset(parts):
            continue
        shape = (layer.out_features, layer.in_features, layer.bias is not None)
        if shape not in made:
            numbers = [_numbers(name, part.shape, device, torch.bfloat16) for part in parts.values()]
            weight = nf4.cat_packed([nf4.pack(part) for part in numbers], for_cpu=device.type == "cpu")
            made[shape] = nf4.packed_layer(layer, weight, dtype)
        model.set_submodule(name, copy.deepcopy(made[shape]))


def _numbers(name: str, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Ones for norms, otherwise small random numbers."""
    if "norm" in name:
        return torch.ones(shape, device=device, dtype=dtype)
    return torch.empty(shape, device=device, dtype=dtype).normal_(std=STD)
