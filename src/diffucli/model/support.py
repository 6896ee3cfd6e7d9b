"""Whether a checkpoint can be run here, by what its small files say: before its weights are fetched or read.

Imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffucli.errors import BadCheckpoint
from diffucli.model.files import REPAIR, blaming, read_object
from diffucli.model.packed import is_packed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAMILY = "Dream"
UNSHIFTED = ("llada", "llada_moe")  # there the output at i predicts position i itself
EXPAND = "<|expand|>"
USE = "diffu model pull diffucoder brings one that runs"
OPTIONAL = ("trained_length",)
SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", *OPTIONAL),
)


def settings_of(folder: Path, *, name: str = "") -> dict[str, Any]:
    """config.json of a checkpoint that can be run here. BadCheckpoint: it cannot, and why.

    name: what errors call it; else by its path.
    """
    path, name = folder / "config.json", name or str(folder)
    if not path.exists():
        raise BadCheckpoint(f"{name} is no checkpoint: it lacks config.json", hint="name a checkpoint folder")
    settings = read_object(path)
    if wrong := refusal(settings, special_tokens(folder)):
        raise BadCheckpoint(f"{name} cannot be run: {wrong}", hint=USE)
    for key in SIZES:
        size = settings.get(key, 1 if key in OPTIONAL else None)
        if type(size) is not int or size < 1:
            raise BadCheckpoint(f"{name}: {key} must be a positive number, not {size!r}", hint=REPAIR)
    try:
        is_packed(settings)
    except BadCheckpoint as exc:
        raise BadCheckpoint(f"{name}: {exc.message}", hint=exc.hint) from exc
    return settings


def refusal(settings: Mapping[str, Any], special: Mapping[str, int]) -> str:
    """Why a checkpoint with these settings and special tokens cannot be run here; "" where it can."""
    kind = settings.get("model_type")
    if isinstance(kind, str) and kind.lower() in UNSHIFTED:
        return f"model_type {kind!r} predicts without the shift (LLaDA family), which is not supported yet"
    if kind != FAMILY:
        return f"model_type {kind!r} is not supported, only {FAMILY!r} is"
    if EXPAND in special:
        return f"its token {EXPAND} lets holes grow (DreamOn), which is not supported yet"
    return ""


def special_tokens(folder: Path) -> dict[str, int]:
    """Name → id of the added tokens that the files of a checkpoint list, by id. BadCheckpoint: a file is damaged."""
    found: dict[str, int] = {}
    path = folder / "tokenizer_config.json"
    if path.exists():
        with blaming(f"{path} lists its added tokens in no known way"):
            listed = read_object(path).get("added_tokens_decoder") or {}
            found |= {str(entry["content"]): int(i) for i, entry in listed.items()}
    path = folder / "added_tokens.json"
    if path.exists():
        with blaming(f"{path} gives a token no id"):
            found |= {str(name): int(i) for name, i in read_object(path).items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def check_index(path: Path, weights: frozenset[str]) -> None:
    """BadCheckpoint where the index of the shards names one that is not among `weights`."""
    with blaming(f"{path} is no shard index"):
        named = {str(name) for name in read_object(path)["weight_map"].values()}
    if missing := sorted(named - weights):
        raise BadCheckpoint(f"{path.name} names {missing[0]}, which is not there", hint=REPAIR)
