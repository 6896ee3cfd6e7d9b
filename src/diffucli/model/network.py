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
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from diffucli.model.cuda_graph import Recorder, Step


MOST_GRAPHS = 16
CHECKED = 8  # tokens of the canvas of a self-check


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

    def layers(self, slots: Sequence[int], length: int, positions: Tensor) -> list[LayerCache]:
        """The cache of each layer for rows in `slots`, up to `length`, to be written at `positions`.

        Consecutive slots are views of the cache. Other slots, such as one slot for several rows, are copies.
        """
        if _consecutive(slots):
            keys, values = (part[:, slots[0] : slots[-1] + 1, :, :length] for part in (self.keys, self.values))
        else:
            chosen = torch.tensor(slots, device=self.keys.device)
            keys, values = (part[:, chosen, :, :length] for part in (self.keys, self.values))
        return [LayerCache(k, v, positions) for k, v in zip(keys, values, strict=True)]

    def store(self, slots: Sequence[int], layers: Sequence[LayerCache]) -> None:
        """Writes `layers` back to `slots` if they are copies; of rows that share a slot, the first."""
        if not _consecutive(slots):
            first = list({slot: row for row, slot in reversed([*enumerate(slots)])}.items())
            chosen, rows = torch.tensor(first, device=self.keys.device).T
            length = layers[0].keys.shape[2]
            self.keys[:, chosen, :, :length] = torch.stack([layer.keys[rows] for layer in layers])
            self.values[:, chosen, :, :length] = torch.stack([layer.values[rows] for layer in layers])


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. shift: 1 if the output at i - 1 predicts position i (Dream), else 0.

    recorder: records window steps as CUDA graphs; None on other devices. block: attention is block-causal: a position
    sees those of its own and of earlier blocks, which lie at multiples of `block`; None: every position sees all.
    """

    model: Transformer
    shift: int = 1
    recorder: Recorder | None = None
    block: int | None = None

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
    def copy_slot(self, cache: KVCache, source: int, target: int) -> None:
        """Gives the slot `target` of `cache` the keys and values of the slot `source`."""
        cache.keys[:, target], cache.values[:, target] = cache.keys[:, source], cache.values[:, source]

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
        canvases may share a slot; it gets the keys and values of the first one if attention is block-causal, else it
        stays as it is. lengths: of the whole canvases, required with a cache.
        """
        batch, start = tokens.to(self.device), starts[0] if starts else 0
        alike = all(other == start for other in starts)
        first = start if alike else torch.tensor(starts, device=self.device)[:, None]
        positions = torch.arange(batch.shape[1], device=self.device) + first
        if cache is not None and (step := self._recorded(batch, positions, cache, lengths)):
            return step(batch, positions)[0, rows[0].to(self.device)].float()
        wanted, real = _padded(rows, self.device)
        caches = None if cache is None else cache[0].layers(cache[1], max(lengths), positions)
        hidden = self.model.model(batch, positions, wanted, caches, self._mask(positions, lengths if cache else ()))
        if cache is not None and caches is not None and (self.block or batch.shape[1] == max(lengths)):
            cache[0].store(cache[1], caches)
        chosen = hidden[0] if real is None else hidden.flatten(0, 1)[real]
        logits: Tensor = self.model.lm_head(chosen)
        return logits.float()

    def _mask(self, positions: Tensor, lengths: Sequence[int]) -> Tensor | None:
        """Which keys the queries at `positions` `[n]` or `[B, n]` see; see `Model.forward`.

        lengths: of the canvases in the cache; without a cache the keys are those at `positions`.
        """
        keys, mask = positions, None
        if lengths:
            keys = torch.arange(max(lengths), device=self.device)
            if min(lengths) < max(lengths):
                mask = (keys < torch.tensor(lengths, device=self.device)[:, None])[:, None, None]
        if self.block is None:
            return mask
        seen = keys[..., None, :] // self.block <= positions[..., :, None] // self.block
        seen = seen.view(-1, 1, *seen.shape[-2:])
        return seen if mask is None else seen & mask

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
            caches, mask = cache.layers([slot], length, positions), self._mask(positions, (length,))
            logits: Tensor = self.model(tokens, positions, None, caches, mask)
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


def self_check(network: Network, folder: Path, *, published: Callable[[str], str] = str) -> None:
    """Raises BadCheckpoint unless weights and outputs are finite and the first output depends on what it should see.

    That is the last token, if attention is block-causal the last of the first block, and none behind it. It does not if
    all weights are zero, as in a file that was allocated but never written.

    published: the published name of a tensor by Qwen2's.
    """
    if wrong := _not_finite(network.model):
        raise BadCheckpoint(f"{folder}: {published(wrong)} holds values that are not finite (NaN)", hint=FETCH_AGAIN)
    length = network.block or CHECKED
    before = _first_output(network, length + 1)
    if not torch.isfinite(before).all():
        raise BadCheckpoint(f"{folder}: the network's outputs are not finite (NaN)", hint=FETCH_AGAIN)
    if torch.equal(before, _first_output(network, length + 1, changed=length - 1)):
        raise BadCheckpoint(f"{folder}: the first position does not see the last", hint=FETCH_AGAIN)
    if network.block and not torch.equal(before, _first_output(network, length + 1, changed=length)):
        raise BadCheckpoint(f"{folder}: the first position sees the next block", hint=FETCH_AGAIN)


def _first_output(network: Network, length: int, *, changed: int | None = None) -> Tensor:
    """The logits of the first output of a canvas of so many tokens, of which one may be `changed`."""
    tokens = torch.arange(1, length + 1)
    if changed is not None:
        tokens[changed] = 0
    return network(tokens[None], [torch.tensor([0])])


def _not_finite(model: Transformer) -> str | None:
    """Qwen2's name of the first weight that is not finite. Packed and offloaded weights are not checked."""
    for name, weight in model.named_parameters():
        known = weight.is_floating_point() and not weight.is_meta
        if known and not is_finite(weight.detach()):
            parts = model.model.config.split_fused(name.replace(".base.", "."), weight.detach())  # beside a LowRank
            return next(part for part, rows in parts.items() if not is_finite(rows))
    return None


def is_finite(numbers: Tensor) -> bool:
    """Whether all of `numbers` are finite, judged by the minimum and the maximum, which need no copy."""
    return all(bool(torch.isfinite(end)) for end in torch.aminmax(numbers))
