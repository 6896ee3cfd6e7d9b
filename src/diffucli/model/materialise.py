"""The weights of a checked folder become a network on a device, in the way that a plan chose.

Foreign errors pass through here; load.py turns them into ours.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from diffucli.errors import UsageError
from diffucli.model.layers import packed_names
from diffucli.model.memory import width
from diffucli.model.packed import KIND, PARTS, STATE, is_packed
from diffucli.model.shards import shards
from diffucli.model.transformer import Qwen2, Size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from diffucli.model.memory import Plan

WIDTHS = {2: torch.bfloat16, 4: torch.float32}
OUTSIDE = "cpu"


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint folder, what its config.json says, and the size of the network that follows."""

    folder: Path
    settings: Mapping[str, Any]
    size: Size


class Weights:
    """The tensors of a folder's shards by their names, mapped from the files and read where they are used."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._held = folder, dict[str, Any](), ExitStack()

    def __enter__(self) -> Self:
        for shard in shards(self._folder):
            file = self._held.enter_context(safe_open(shard, framework="pt"))
            self._files |= dict.fromkeys(file.keys(), file)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor

    @property
    def packed(self) -> frozenset[str]:
        """The names of the weights in four bits."""
        return frozenset(name.removesuffix(STATE) for name in self._files if name.endswith(STATE))

    def beside(self, name: str) -> dict[str, Tensor]:
        """Suffix → tensor of what unpacks the weight `name`; nothing where it is not packed."""
        return {part: self[name + part] for part in PARTS} if name + STATE in self._files else {}


def materialise(source: Source, plan: Plan) -> Qwen2:
    """The network of `source` on the plan's device. UsageError: four bits where bitsandbytes is not."""
    place, dtype = place_of(plan), dtype_of(plan)
    with torch.device("meta"):
        model = Qwen2(source.size)
    with Weights(source.folder) as weights:
        if is_packed(source.settings) or plan.quant == KIND:
            try:
                _four_bits(model, weights, source, plan)
            except ImportError as exc:
                raise UsageError(
                    "four bits need bitsandbytes, which has no wheel here",
                    hint="use the original weights and --quant none",
                ) from exc
        for name, parameter in list(model.named_parameters()):
            if parameter.is_meta:
                parts = source.size.apart(name, parameter)
                put(model, name, _below([weights[part].to(place, dtype) for part in parts]))
    model.tie()
    model.eval()
    return spread_out(model, places(source.settings, plan)) if plan.outside else model


def _four_bits(model: Qwen2, weights: Weights, source: Source, plan: Plan) -> None:
    """Packed matrices are taken over or unpacked, others packed, each as the plan has it.

    A layer that joins some that four bits cannot pack is kept whole.
    """
    from diffucli.model import fourbit

    place, dtype, kept = place_of(plan), dtype_of(plan), plan.quant == KIND
    names = weights.packed | (packed_names(source.settings) if kept else frozenset())
    for name, parameter in list(model.named_parameters()):
        parts = source.size.apart(name, parameter)
        if names.isdisjoint(parts):
            continue
        pieces = [
            fourbit.Piece(weights[part], weights.beside(part), len(rows)).to(place) for part, rows in parts.items()
        ]
        if not kept or not names.issuperset(parts):
            put(model, name, _below([piece.whole(dtype) for piece in pieces]))
            continue
        layer = model.get_submodule(path := name.removesuffix(".weight"))
        assert isinstance(layer, nn.Linear)
        weight = fourbit.joined([piece.packed(dtype) for piece in pieces], arranged=place == OUTSIDE)
        model.set_submodule(path, fourbit.packed_layer(layer, weight, dtype))


def _below(parts: list[Tensor]) -> Tensor:
    """`parts` below each other; just one is not copied."""
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def place_of(plan: Plan) -> str:
    """Where weights go first: what is spread out later begins in main memory."""
    return OUTSIDE if plan.outside else plan.device


def dtype_of(plan: Plan) -> torch.dtype:
    """What a network of this plan computes in."""
    return WIDTHS[width(plan.device, plan.quant)]


def put(model: nn.Module, name: str, value: Tensor) -> None:
    """Makes `value` the parameter `name` of `model`, in the place of the one that only says its shape."""
    parent, _, leaf = name.rpartition(".")
    model.get_submodule(parent).register_parameter(leaf, nn.Parameter(value, requires_grad=False))


def places(settings: Mapping[str, Any], plan: Plan) -> dict[str, str]:
    """Module → device of a plan with layers outside: the last ones, as the first see the tokens."""
    count = int(settings["num_hidden_layers"])
    layers = {f"model.layers.{i}": OUTSIDE if i >= count - plan.outside else plan.device for i in range(count)}
    return dict.fromkeys(("model.embed_tokens", "model.norm", "lm_head"), plan.device) | layers


def spread_out(model: Qwen2, where: Mapping[str, str], *, folder: Path | None = None) -> Qwen2:
    """`model` with each module where `where` says; modules outside come to the device for as long as they compute.

    folder: for modules on "disk". (accelerate's dispatch_model. Not tried with a GPU here: tests put layers on disk.)
    """
    from accelerate import dispatch_model  # type: ignore[import-untyped]

    main = where["model.embed_tokens"]
    spread: Qwen2 = dispatch_model(model, dict(where), main_device=main, offload_dir=folder)
    return spread
