"""Evaluates the transformer for decoding: batches of tokens become logits, with a KV cache.

Knows nothing of masks, holes or text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import FETCH_AGAIN
from diffucli.model.transformer import LayerCache, Transformer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffucli.model.cuda_graph import Recorder, Step


MOST_GRAPHS = 16


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values `[layers, slots, key heads, longest, head]`; each slot holds a canvas of up to `longest` tokens.

    graphs: (slot, canvas length, window length) → the recorded step, None if there was only one such window so far; the
    most recently used is the last, and there are MOST_GRAPHS at most, since each holds memory of the device.
    """

    keys: Tensor
    values: Tensor
    graphs: dict[tuple[int, int, int], Step | None] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """Number of canvases that fit."""
        return self.keys.shape[1]

    @property
    def longest(self) -> int:
        """Maximum number of tokens of a canvas."""
        return self.keys.shape[3]

    def layers(self, slots: Sequence[int], length: int, positions: Tensor, mask: Tensor | None) -> list[LayerCache]:
        """The cache of each layer for rows in `slots`, up to `length`, to be written at `positions`.

        Consecutive slots are views of the cache. Other slots, such as one slot for several rows, are copies.
        """
        if _consecutive(slots):
            keys, values = (part[:, slots[0] : slots[-1] + 1, :, :length] for part in (self.keys, self.values))
        else:
            chosen = torch.tensor(slots, device=self.keys.device)
            keys, values = (part[:, chosen, :, :length] for part in (self.keys, self.values))
        return [LayerCache(k, v, positions, mask) for k, v in zip(keys, values, strict=True)]

    def store(self, slots: Sequence[int], layers: Sequence[LayerCache]) -> None:
        """Writes `layers` back to `slots` if they are copies."""
        if not _consecutive(slots):
            chosen, length = torch.tensor(slots, device=self.keys.device), layers[0].keys.shape[2]
            self.keys[:, chosen, :, :length] = torch.stack([layer.keys for layer in layers])
            self.values[:, chosen, :, :length] = torch.stack([layer.values for layer in layers])


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. shift: 1 if the output at i - 1 predicts position i (Dream), else 0.

    recorder: records window steps as CUDA graphs; None on other devices.
    """

    model: Transformer
    shift: int = 1
    recorder: Recorder | None = None

    @property
    def device(self) -> torch.device:
        """The device of the weights; tokens may be on any device."""
        return self.model.model.embed_tokens.weight.device

    @property
    def trouble(self) -> str:
        """Why window steps are not recorded although there is a recorder; "" if they are."""
        why = self.recorder.trouble if self.recorder else ""
        return f"steps are not replayed as a CUDA graph, so they are slower: {why}" if why else ""

    def new_cache(self, slots: int, longest: int, *, old: KVCache | None = None) -> KVCache:
        """An empty cache for `slots` canvases of at most `longest` tokens, or a larger copy of `old`."""
        config, like = self.model.model.config, self.model.model.embed_tokens.weight
        shape = (config.num_layers, slots, config.num_kv_heads, longest, config.head_dim)
        made = KVCache(like.new_zeros(shape), like.new_zeros(shape))
        if old is not None:
            made.keys[:, : old.slots, :, : old.longest] = old.keys
            made.values[:, : old.slots, :, : old.longest] = old.values
        return made

    @torch.no_grad()
    def __call__(
        self,
        tokens: Tensor,
        rows: Sequence[Tensor],
        *,
        starts: Sequence[int] = (),
        cache: tuple[KVCache, Sequence[int]] | None = None,
        lengths: Sequence[int] = (),
    ) -> Tensor:
        """Logits `[R, V]`, float32, of `tokens` `[B, n]` at `rows`, one canvas after the other.

        rows: `[r]` indexes into the n tokens of each canvas. starts: position of each canvas's first token, 0 by
        default. cache: the KV cache and the slot of each canvas; without it, only `tokens` are attended to. Several
        canvases may share a slot, which is then not written. lengths: of the whole canvases, required with a cache.
        """
        batch, start = tokens.to(self.device), starts[0] if starts else 0
        alike = all(other == start for other in starts)
        first = start if alike else torch.tensor(starts, device=self.device)[:, None]
        positions = torch.arange(batch.shape[1], device=self.device) + first
        if cache is not None and (step := self._recorded(batch, positions, cache, lengths)):
            return step(batch, positions)[0, rows[0].to(self.device)].float()
        wanted, real = _padded(rows, self.device)
        caches = self._caches(cache, lengths, positions)
        hidden = self.model.model(batch, positions, wanted, caches)
        if cache is not None and caches is not None and batch.shape[1] == max(lengths):
            cache[0].store(cache[1], caches)
        chosen = hidden[0] if real is None else hidden.flatten(0, 1)[real]
        logits: Tensor = self.model.lm_head(chosen)
        return logits.float()

    def _caches(
        self, cache: tuple[KVCache, Sequence[int]] | None, lengths: Sequence[int], positions: Tensor
    ) -> list[LayerCache] | None:
        if cache is None:
            return None
        held, slots = cache
        length, mask = max(lengths), None
        if min(lengths) < length:
            ends = torch.tensor(lengths, device=self.device)[:, None]
            mask = (torch.arange(length, device=self.device) < ends)[:, None, None]
        return held.layers(slots, length, positions, mask)

    def _recorded(
        self, batch: Tensor, positions: Tensor, cache: tuple[KVCache, Sequence[int]], lengths: Sequence[int]
    ) -> Step | None:
        """The recorded step of a single window, or None. A step is recorded at the second window of its lengths."""
        held, (slot, *others) = cache
        length, count = lengths[0], batch.shape[1]
        if self.recorder is None or others or count == length:
            return None
        key = slot, length, count
        was_seen, found = key in held.graphs, held.graphs.pop(key, None)
        if len(held.graphs) == MOST_GRAPHS:
            del held.graphs[next(iter(held.graphs))]  # before the next one is recorded
        if was_seen and found is None:
            step = self._step(KVCache(held.keys, held.values), slot, length)
            found = self.recorder.step(step, batch, positions)
        held.graphs[key] = found
        return found

    def _step(self, cache: KVCache, slot: int, length: int) -> Step:
        """Tokens and positions of a window → logits of all its rows. `cache` has no graphs, so there is no cycle."""

        def step(tokens: Tensor, positions: Tensor) -> Tensor:
            logits: Tensor = self.model(tokens, positions, None, cache.layers([slot], length, positions, None))
            return logits

        return step


def _consecutive(slots: Sequence[int]) -> bool:
    return list(slots) == list(range(slots[0], slots[0] + len(slots)))


def _padded(rows: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """`rows` as one tensor: `[r]` for one canvas, `[B, r]` padded for several.

    The second tensor has the indexes of the rows that are no padding in the flat `[B · r]`; None for one canvas.
    """
    if len(rows) == 1:
        return rows[0].to(device), None
    padded = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    counts = torch.tensor([len(each) for each in rows])
    real = (torch.arange(padded.shape[1]) < counts[:, None]).flatten().nonzero()[:, 0]
    return padded.to(device), real.to(device)


def self_check(network: Network, folder: Path) -> None:
    """Raises BadCheckpoint unless weights and outputs are finite and the first output depends on the last token.

    It does not if all weights are zero, as in a file that was allocated but never written.
    """
    if wrong := _not_finite(network.model):
        raise BadCheckpoint(f"{folder}: {wrong} holds values that are not finite (NaN)", hint=FETCH_AGAIN)
    tokens = torch.arange(1, 9)
    changed = tokens.clone()
    changed[-1] = 0
    before, after = (network(each[None], [torch.tensor([0])]) for each in (tokens, changed))
    if not torch.isfinite(before).all():
        raise BadCheckpoint(f"{folder}: the network's outputs are not finite (NaN)", hint=FETCH_AGAIN)
    if torch.equal(before, after):
        raise BadCheckpoint(f"{folder}: the first position does not see the last", hint=FETCH_AGAIN)


def _not_finite(model: Transformer) -> str | None:
    """The published name of the first weight that is not finite. Packed and offloaded weights are not checked."""
    for name, weight in model.named_parameters():
        known = weight.is_floating_point() and not weight.is_meta
        if known and not is_finite(weight.detach()):
            parts = model.model.config.split_fused(name.replace(".base.", "."), weight.detach())  # beside a LowRank
            return next(part for part, rows in parts.items() if not is_finite(rows))
    return None


def is_finite(numbers: Tensor) -> bool:
    """Whether all of `numbers` are finite, judged by the minimum and the maximum, which need no copy."""
    return all(bool(torch.isfinite(end)) for end in torch.aminmax(numbers))
