"""The figures of a checkpoint from its config.json and the headers of its weights: parameters, bits, bytes.

Imports no torch, so that listing is quick.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from diffucli.model.files import blaming, require
from diffucli.model.layers import key_width
from diffucli.model.memory import whole_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTEXT = 2048  # tokens the published checkpoints were trained for
HALF = 2  # bytes of a bfloat16
WIDTHS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}
LONGEST_HEADER = 100_000_000  # bytes, the format's own limit


def parameters(settings: Mapping[str, Any]) -> int:
    """The number of weights of a network of this shape, biases and norms among them."""
    return whole_bytes(settings, width=1)


def context(settings: Mapping[str, Any]) -> int:
    """The number of tokens, prompt and canvas together, the checkpoint was trained for."""
    return min(int(settings.get("trained_length", CONTEXT)), int(settings.get("max_position_embeddings", CONTEXT)))


def cache_bytes(settings: Mapping[str, Any], tokens: int) -> int:
    """The keys and values of `tokens` positions in bfloat16."""
    return 2 * int(settings["num_hidden_layers"]) * key_width(settings) * tokens * HALF


def tensors(shard: Path) -> dict[str, tuple[str, int]]:
    """Name → (type, bytes) of a safetensors file by its header. BadCheckpoint: damaged or cut short."""
    require(shard)
    with blaming(f"{shard} is damaged, truncated or no safetensors file"):
        with shard.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= LONGEST_HEADER:
                raise ValueError("no header")
            header = json.loads(file.read(length))
        spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
        if shard.stat().st_size != 8 + length + max((int(end) for _, end in spans.values()), default=0):
            raise ValueError("its length is not what its header says")
        return {name: (str(header[name]["dtype"]), int(end) - int(start)) for name, (start, end) in spans.items()}


def bits(found: Mapping[str, tuple[str, int]]) -> int:
    """Bits of an unpacked weight by the type that fills most bytes; 0 where that is unknown."""
    totals: dict[str, int] = {}
    for kind, size in found.values():
        totals[kind] = totals.get(kind, 0) + size
    return WIDTHS.get(max(totals, key=totals.__getitem__), 0) if totals else 0
