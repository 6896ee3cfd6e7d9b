"""The network as decoding asks for it: tokens become logits, and the canvas keeps its keys and values.

Knows tokens and positions; nothing of masks, holes or text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import FETCH_AGAIN as REPAIR
from diffucli.model.transformer import Memory, Qwen2

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.cuda_graph import Recorder, Step


@dataclass(frozen=True, slots=True)
class CanvasCache:
    """The keys and values `[layers, 1, key heads, length, head]` of every position of a canvas, written in place.

    windows: the lengths of the windows that were evaluated over it, with the step of each once it is recorded.
    """

    keys: Tensor
    values: Tensor
    windows: dict[int, Step | None] = field(default_factory=dict)

    def at(self, positions: Tensor) -> list[Memory]:
        """What each layer keeps, to be renewed at `positions`."""
        return [Memory(keys, values, positions) for keys, values in zip(self.keys, self.values, strict=True)]


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. `shift` is 1 where the output at i - 1 predicts position i (Dream), else 0.

    recorder: of the steps of windows, on a device that is faster when told of many kernels at once.
    """

    model: Qwen2
    shift: int = 1
    recorder: Recorder | None = None

    @property
    def device(self) -> torch.device:
        """Where tokens must be."""
        return self.model.model.embed_tokens.weight.device

    @property
    def trouble(self) -> str:
        """Why steps that could be recorded are not; "" where nothing is wrong."""
        why = self.recorder.trouble if self.recorder else ""
        return f"steps are not replayed as a CUDA graph, so they are slower: {why}" if why else ""

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
        positions = torch.arange(start, start + batch.shape[1], device=tokens.device)
        if cache is not None and (step := self._recorded(batch, positions, cache)):
            logits = step(batch, positions)[:, rows].float()
        else:
            logits = self.model(batch, rows, positions, None if cache is None else cache.at(positions)).float()
        return logits.reshape(*tokens.shape[:-1], *logits.shape[1:])

    def _recorded(self, batch: Tensor, positions: Tensor, cache: CanvasCache) -> Step | None:
        """The step of windows as long as this one, recorded when the second of them comes; None: there is none."""
        length = batch.shape[1]
        if self.recorder is None or len(batch) > 1 or length == cache.keys.shape[3]:
            return None
        if length not in cache.windows:
            cache.windows[length] = None
        elif cache.windows[length] is None:
            cache.windows[length] = self.recorder.step(self._step(cache.keys, cache.values), batch, positions)
        return cache.windows[length]

    def _step(self, keys: Tensor, values: Tensor) -> Step:
        """Tokens and positions of a window → logits; knows what is kept, not the cache, which keeps the step itself."""
        kept = CanvasCache(keys, values)

        def step(tokens: Tensor, where: Tensor) -> Tensor:
            logits: Tensor = self.model(tokens, None, where, kept.at(where))
            return logits

        return step


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
