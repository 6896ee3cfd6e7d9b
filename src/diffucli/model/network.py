"""The network as decoding asks for it: rows of tokens become logits, with the keys and values of canvases kept.

Knows tokens and positions; nothing of masks, holes or text.
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


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values `[layers, slots, key heads, longest, head]`: a slot for each canvas of at most `longest` tokens.

    graphs: (slot, canvas length, window length) → the recorded step of such windows; None until the second one comes.
    """

    keys: Tensor
    values: Tensor
    graphs: dict[tuple[int, int, int], Step | None] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many canvases it holds."""
        return self.keys.shape[1]

    @property
    def longest(self) -> int:
        """How many tokens a canvas may have."""
        return self.keys.shape[3]

    def layers(self, slots: Sequence[int], length: int, positions: Tensor, mask: Tensor | None) -> list[LayerCache]:
        """The cache of each layer for rows in `slots`, up to `length`, to be written at `positions`.

        Slots that follow each other are written in place. Others, such as one slot for several rows, are copied: what a
        row writes there is its own.
        """
        if _in_a_row(slots):
            keys, values = (part[:, slots[0] : slots[-1] + 1, :, :length] for part in (self.keys, self.values))
        else:
            chosen = torch.tensor(slots, device=self.keys.device)
            keys, values = (part[:, chosen, :, :length] for part in (self.keys, self.values))
        return [LayerCache(k, v, positions, mask) for k, v in zip(keys, values, strict=True)]

    def store(self, slots: Sequence[int], layers: Sequence[LayerCache]) -> None:
        """Takes over what was written to `layers` of those slots, where it was written to copies."""
        if not _in_a_row(slots):
            chosen, length = torch.tensor(slots, device=self.keys.device), layers[0].keys.shape[2]
            self.keys[:, chosen, :, :length] = torch.stack([layer.keys for layer in layers])
            self.values[:, chosen, :, :length] = torch.stack([layer.values for layer in layers])


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. `shift` is 1 where the output at i - 1 predicts position i (Dream), else 0.

    recorder: of the steps of windows, on a device that is faster when told of many kernels at once.
    """

    model: Transformer
    shift: int = 1
    recorder: Recorder | None = None

    @property
    def device(self) -> torch.device:
        """Where the network computes; tokens may come from anywhere."""
        return self.model.model.embed_tokens.weight.device

    @property
    def trouble(self) -> str:
        """Why steps that could be recorded are not; "" where nothing is wrong."""
        why = self.recorder.trouble if self.recorder else ""
        return f"steps are not replayed as a CUDA graph, so they are slower: {why}" if why else ""

    def new_cache(self, slots: int, longest: int, *, old: KVCache | None = None) -> KVCache:
        """An empty cache for `slots` canvases of at most `longest` tokens, or `old` made that large."""
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
        """Logits `[R, V]`, float32: of each canvas of `tokens` `[B, n]` the outputs `rows`, one canvas after the other.

        rows: for each canvas `[r]` indexes into its n tokens. starts: the position of each canvas's first token, 0 if
        not given. cache: keys and values with the slot of each canvas. Those of `tokens` are written there, and every
        position of a canvas is attended to; without a cache, only `tokens` are. Several rows may name one slot if they
        are parts of a canvas: each sees its own tokens, and the slot stays as it is. lengths: of the whole canvases,
        to be given with a cache.
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
        """The step of windows as long as this one, recorded when the second of them comes; None: there is none."""
        held, (slot, *others) = cache
        length, count = lengths[0], batch.shape[1]
        if self.recorder is None or others or count == length:
            return None
        key = slot, length, count
        if key not in held.graphs:
            held.graphs[key] = None
        elif held.graphs[key] is None:
            step = self._step(KVCache(held.keys, held.values), slot, length)
            held.graphs[key] = self.recorder.step(step, batch, positions)
        return held.graphs[key]

    def _step(self, cache: KVCache, slot: int, length: int) -> Step:
        """Tokens and positions of a window → logits of all its rows; `cache` holds no step, so nothing holds itself."""

        def step(tokens: Tensor, positions: Tensor) -> Tensor:
            logits: Tensor = self.model(tokens, positions, None, cache.layers([slot], length, positions, None))
            return logits

        return step


def _in_a_row(slots: Sequence[int]) -> bool:
    return list(slots) == list(range(slots[0], slots[0] + len(slots)))


def _padded(rows: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """`rows` as one tensor: `[r]` for one canvas; for several `[B, r]`, the shorter ones filled up, and which are real.

    The second tensor has the places of the real ones in the flat `[B · r]`; None: all of one canvas.
    """
    if len(rows) == 1:
        return rows[0].to(device), None
    padded = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    counts = torch.tensor([len(each) for each in rows])
    real = (torch.arange(padded.shape[1]) < counts[:, None]).flatten().nonzero()[:, 0]
    return padded.to(device), real.to(device)


def self_check(network: Network, folder: Path) -> None:
    """BadCheckpoint unless weights and outputs are finite and the first position reacts to the last token.

    It does not where weights are all zero, as in a file that was never filled.
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
    """The published name of the first weight that holds no number; what else there may be shows in the outputs.

    Bytes in four bits always are numbers, and layers that are not on the device now cannot be asked.
    """
    for name, weight in model.named_parameters():
        known = weight.is_floating_point() and not weight.is_meta
        if known and not is_finite(weight.detach()):
            parts = model.model.config.split_fused(name, weight.detach())
            return next(part for part, rows in parts.items() if not is_finite(rows))
    return None


def is_finite(numbers: Tensor) -> bool:
    """Whether all of `numbers` are: by the least and the greatest, as a sum in float32 would copy them all."""
    return all(bool(torch.isfinite(end)) for end in torch.aminmax(numbers))
