"""The sizes that follow from a config.json: the matrices of a layer, and which of them four bits can pack.

Imports no torch, so that memory is reckoned before anything heavy is loaded.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from diffucli.model.packed import BLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE = 1024  # hidden sizes from which four bits pay
ROWS = 32  # rows that bitsandbytes packs together on a CPU
ATTENTION, MLP = "self_attn", "mlp"
JOINED = {  # layer of our network → the published ones that it holds, as they read the same numbers
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}


def matrices(settings: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Name within a layer → rows and columns of its matrices."""
    hidden, inner = int(settings["hidden_size"]), int(settings["intermediate_size"])
    narrow = key_width(settings)
    return {
        f"{ATTENTION}.q_proj": (hidden, hidden),
        f"{ATTENTION}.k_proj": (narrow, hidden),
        f"{ATTENTION}.v_proj": (narrow, hidden),
        f"{ATTENTION}.o_proj": (hidden, hidden),
        f"{MLP}.gate_proj": (inner, hidden),
        f"{MLP}.up_proj": (inner, hidden),
        f"{MLP}.down_proj": (hidden, inner),
    }


def key_width(settings: Mapping[str, Any]) -> int:
    """Numbers in the keys of one position, all heads together."""
    heads = int(settings["num_attention_heads"])
    return int(settings["hidden_size"]) // heads * int(settings.get("num_key_value_heads") or heads)


def parameters(settings: Mapping[str, Any]) -> int:
    """How many numbers the network holds: matrices, embeddings, head, norms and biases."""
    hidden, count = int(settings["hidden_size"]), int(settings["num_hidden_layers"])
    tables = 1 if settings.get("tie_word_embeddings") else 2
    small = 3 * hidden + 2 * key_width(settings)  # two norms, and the biases of queries, keys and values
    layer = sum(map(prod, matrices(settings).values())) + small
    return tables * int(settings["vocab_size"]) * hidden + count * layer + hidden


def packable(settings: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The `matrices` whose rows and columns fill whole blocks; bitsandbytes cannot pack others on a CPU."""
    return {name: shape for name, shape in matrices(settings).items() if not shape[0] % ROWS and not shape[1] % BLOCK}


def odd(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The last names ("k_proj") of the `matrices` that are not packable."""
    can = packable(settings)
    return tuple(name.rpartition(".")[2] for name in matrices(settings) if name not in can)


def packed_names(settings: Mapping[str, Any]) -> frozenset[str]:
    """The names of the tensors that are in four bits in a quantised checkpoint."""
    count = int(settings["num_hidden_layers"])
    return frozenset(f"model.layers.{i}.{name}.weight" for i in range(count) for name in packable(settings))


def is_large(settings: Mapping[str, Any]) -> bool:
    """Whether four bits pay for this checkpoint."""
    return int(settings["hidden_size"]) >= LARGE
