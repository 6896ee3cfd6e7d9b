"""A network of random weights in a given shape, made where it is to run: for measuring time and memory, not text.

Knows no files.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from diffucli.model.cuda_graph import recorder
from diffucli.model.layers import packed_names
from diffucli.model.materialise import dtype_of, put
from diffucli.model.network import Network
from diffucli.model.transformer import Qwen2, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bitsandbytes.nn.modules import Linear4bit

    from diffucli.model.memory import Plan

DEVIATION = 0.02


def random_network(settings: Mapping[str, Any], plan: Plan) -> Network:
    """A network of the shape that `settings` (config.json) says, on the plan's device, packed if the plan says so.

    Packed layers of one shape hold the same numbers, each in memory of its own: packing takes long, and time does not
    depend on what is multiplied.
    """
    device = torch.device(plan.device)
    dtype = dtype_of(plan)
    with torch.device("meta"):
        model = Qwen2(Size.of(settings))
    if plan.quant == "nf4":
        _pack(model, packed_names(settings), device, dtype)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            put(model, name, _numbers(name, parameter.shape, device, dtype))
    model.tie()
    model.eval()
    return Network(model, recorder=recorder(plan))


def _pack(model: Qwen2, names: frozenset[str], device: torch.device, dtype: torch.dtype) -> None:
    """Puts layers in four bits in the place of those named."""
    from diffucli.model import fourbit

    made: dict[tuple[int, int, bool], Linear4bit] = {}
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        parts = model.model.size.apart(f"{name}.weight", layer.weight)
        kind = (layer.out_features, layer.in_features, layer.bias is not None)
        if not names.issuperset(parts):
            continue
        if kind not in made:
            numbers = [_numbers(name, part.shape, device, torch.bfloat16) for part in parts.values()]
            weight = fourbit.joined([fourbit.packed(part) for part in numbers], arranged=device.type == "cpu")
            made[kind] = fourbit.packed_layer(layer, weight, dtype)
        model.set_submodule(name, copy.deepcopy(made[kind]))


def _numbers(name: str, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Ones for norms, else small random numbers."""
    if "norm" in name:
        return torch.ones(shape, device=device, dtype=dtype)
    return torch.empty(shape, device=device, dtype=dtype).normal_(std=DEVIATION)
