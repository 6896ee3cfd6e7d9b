"""The network as decoding asks for it: tokens become logits, and the canvas keeps its keys and values.

Knows tokens and positions; nothing of masks, holes or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 — this room is torch's own
from torch import Tensor  # noqa: TID253

from diffucli.errors import BadCheckpoint
from diffucli.model.files import REPAIR
from diffucli.model.qwen2 import Memory, Qwen2

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CanvasCache:
    """The keys and values `[layers, 1, key heads, length, head]` of every position of a canvas, written in place."""

    keys: Tensor
    values: Tensor

    def at(self, start: int) -> list[Memory]:
        """What each layer keeps, to be renewed from `start`."""
        return [Memory(keys, values, start) for keys, values in zip(self.keys, self.values, strict=True)]


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. `shift` is 1 where the output at i - 1 predicts position i (Dream), else 0."""

    model: Qwen2
    shift: int = 1

    @property
    def device(self) -> torch.device:
        """Where tokens must be."""
        return self.model.model.embed_tokens.weight.device

    def cache(self, length: int) -> CanvasCache:
        """An empty cache for a canvas of `length` positions."""
        size, like = self.model.model.size, self.model.model.embed_tokens.weight
        shape = (size.layers, 1, size.key_heads, length, size.head)
        return CanvasCache(like.new_zeros(shape), like.new_zeros(shape))

    @torch.no_grad()
    def __call__(self, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: CanvasCache | None = None) -> Tensor:
        """Logits `[len(rows), V]`, float32, of the outputs `rows` (indexes into `tokens`).

        tokens `[n]` stand at positions start … start + n. With a cache, their keys and values are written into it and
        every position of the cached canvas is attended to; without, only `tokens` are. A batch `[B, n]` gives
        `[B, len(rows), V]`, each as if it stood alone; where B > 1 a cache must be filled, is read, and stays as it is.
        """
        batch = tokens.reshape(-1, tokens.shape[-1])
        logits: Tensor = self.model(batch, rows, start, None if cache is None else cache.at(start)).float()
        return logits.reshape(*tokens.shape[:-1], *logits.shape[1:])


def self_check(network: Network, folder: Path) -> None:
    """BadCheckpoint unless weights and outputs are finite and the first position reacts to the last token.

    It does not where weights are all zero, as in a file that was never filled.
    """
    if wrong := _not_finite(network.model):
        raise BadCheckpoint(f"{folder}: {wrong} holds values that are not finite (NaN)", hint=REPAIR)
    first, tokens = torch.tensor([0], device=network.device), torch.arange(1, 9, device=network.device)
    changed = tokens.clone()
    changed[-1] = 0
    before, after = network(tokens, first), network(changed, first)
    if not torch.isfinite(before).all():
        raise BadCheckpoint(f"{folder}: the network's outputs are not finite (NaN)", hint=REPAIR)
    if torch.equal(before, after):
        raise BadCheckpoint(f"{folder}: the first position does not see the last", hint=REPAIR)


def _not_finite(model: Qwen2) -> str | None:
    """The published name of the first weight that holds no number; what else there may be shows in the outputs.

    Bytes in four bits always are numbers, and layers that are not on the device now cannot be asked.
    """
    for name, weight in model.named_parameters():
        known = weight.is_floating_point() and not weight.is_meta
        if known and not is_finite(weight.detach()):
            parts = model.model.size.apart(name, weight.detach())
            return next(part for part, rows in parts.items() if not is_finite(rows))
    return None


def is_finite(numbers: Tensor) -> bool:
    """Whether all of `numbers` are: by the least and the greatest, as a sum in float32 would copy them all."""
    return all(bool(torch.isfinite(end)) for end in torch.aminmax(numbers))
