"""The network: transformers' `Qwen2ForCausalLM` with bidirectional attention, and the canvas cache.

Knows tokens and positions; nothing of masks, holes or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 — this room is torch's own
from torch import Tensor, nn  # noqa: TID253
from transformers import Cache, Qwen2Config, Qwen2ForCausalLM  # noqa: TID253
from transformers.cache_utils import CacheLayerMixin  # noqa: TID253

from diffucli.errors import BadCheckpoint
from diffucli.model.files import REPAIR

if TYPE_CHECKING:
    from pathlib import Path


class CanvasLayer(CacheLayerMixin):
    """One layer's keys and values `[1, heads, length, head_dim]`, overwritten in place at a window."""

    is_sliding = False

    def __init__(self, length: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length, self.start = length, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = key_states.new_zeros(*key_states.shape[:2], self.length, key_states.shape[3])
        self.values = value_states.new_zeros(self.keys.shape)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        """Writes the window's keys and values and returns those of the whole canvas.

        Those of a batch share what is stored, which stays as it is: each row is the canvas with a window of its own.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        window = slice(self.start, self.start + key_states.shape[2])
        keys, values, batch = self.keys, self.values, len(key_states)
        if batch > 1:
            keys, values = keys.repeat(batch, 1, 1, 1), values.repeat(batch, 1, 1, 1)
        keys[:, :, window], values[:, :, window] = key_states, value_states
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        del query_length
        return self.length, 0

    def get_seq_length(self) -> int:
        return self.start

    def get_max_length(self) -> int:
        return self.length


@dataclass(frozen=True, slots=True)
class CanvasCache:
    """The keys and values of every position of a canvas, in every layer."""

    cache: Cache
    length: int

    def at(self, start: int) -> Cache:
        """The cache set to write at `start`."""
        for layer in self.cache.layers:
            assert isinstance(layer, CanvasLayer)
            layer.start = start
        return self.cache


@dataclass(frozen=True, slots=True)
class Network:
    """Tokens → logits. `shift` is 1 where the output at i - 1 predicts position i (Dream), else 0."""

    model: Qwen2ForCausalLM
    shift: int = 1

    @property
    def device(self) -> torch.device:
        """Where tokens must be."""
        device: torch.device = self.model.model.embed_tokens.weight.device
        return device

    def cache(self, length: int) -> CanvasCache:
        """An empty cache for a canvas of `length` positions."""
        layers = [CanvasLayer(length) for _ in range(self.model.config.num_hidden_layers)]
        return CanvasCache(Cache(layers=list(layers)), length)

    @torch.no_grad()
    def __call__(self, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: CanvasCache | None = None) -> Tensor:
        """Logits `[len(rows), V]`, float32, of the outputs `rows` (indexes into `tokens`).

        tokens `[n]` stand at positions start … start + n. With a cache, their keys and values are written into it and
        every position of the cached canvas is attended to; without, only `tokens` are. A batch `[B, n]` gives
        `[B, len(rows), V]`, each as if it stood alone; where B > 1 a cache must be filled, is read, and stays as it is.
        """
        batch = tokens.reshape(-1, tokens.shape[-1])
        positions = torch.arange(start, start + batch.shape[1], device=tokens.device)
        output = self.model(
            input_ids=batch,
            position_ids=positions.expand_as(batch),
            past_key_values=None if cache is None else cache.at(start),
            use_cache=cache is not None,
            logits_to_keep=rows,
        )
        logits: Tensor = output.logits.float()
        return logits.reshape(*tokens.shape[:-1], *logits.shape[1:])


def configure(settings: dict[str, object]) -> Qwen2Config:
    """The network's configuration from a published config.json; ValueError where it asks for what is not built here."""
    for key in UNKNOWN:
        if settings.get(key):
            raise ValueError(f"{key} is not supported")
    kept: dict[str, Any] = {key: settings[key] for key in KEPT if key in settings}
    rope = {"rope_type": "default", "rope_theta": settings.get("rope_theta", 10000.0)}
    config = Qwen2Config(**kept, rope_parameters=rope, use_cache=False)
    config.is_causal = False
    return config


KEPT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings"),
    *("attention_dropout", "initializer_range"),
)
UNKNOWN = ("rope_scaling", "use_sliding_window", "use_mrope")  # would change the numbers without an error


def self_check(network: Network, folder: Path) -> None:
    """BadCheckpoint unless weights and outputs are finite and the first position reacts to the last token."""
    if wrong := _not_finite(network.model):
        raise BadCheckpoint(f"{folder}: {wrong} holds values that are not finite (NaN)", hint=REPAIR)
    first, tokens = torch.tensor([0], device=network.device), torch.arange(1, 9, device=network.device)
    changed = tokens.clone()
    changed[-1] = 0
    before, after = network(tokens, first), network(changed, first)
    if not torch.isfinite(before).all():
        raise BadCheckpoint(f"{folder}: the network's outputs are not finite (NaN)", hint=REPAIR)
    if torch.equal(before, after):
        raise BadCheckpoint(
            f"{folder}: attention is causal, the first position does not see the last",
            hint="install transformers 5.3 or newer",
        )


def _not_finite(model: nn.Module) -> str | None:
    """The first weight that holds no number; what else there may be shows in the outputs.

    Bytes in four bits always are numbers, and layers that are not on the device now cannot be asked.
    """
    for name, weight in model.named_parameters():
        known = weight.is_floating_point() and not weight.is_meta
        if known and not is_finite(weight.detach()):
            return name
    return None


def is_finite(numbers: Tensor) -> bool:
    """Whether all of `numbers` are: by the least and the greatest, as a sum in float32 would copy them all."""
    return all(bool(torch.isfinite(end)) for end in torch.aminmax(numbers))
