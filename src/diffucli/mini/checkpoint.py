"""mini's checkpoint on disk: config.json and model.safetensors in the published layout."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from diffucli.model.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
LONGEST_CANVAS, TRAINED = 2048, 320  # tokens that positions are defined for, and that rows have at most


def settings_of(shape: Mapping[str, int], words: Tokenizer) -> dict[str, object]:
    """What config.json says of a network of `shape` with the vocabulary `words`."""
    return {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "vocab_size": -(-words.vocab_size // 64) * 64,
        **shape,
        "max_position_embeddings": LONGEST_CANVAS,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 1 / math.sqrt(shape["hidden_size"]) / 2,
        "tie_word_embeddings": False,
        "mask_token_id": words.mask,
        "pad_token_id": words.pad,
        "bos_token_id": words.special("<|beginoftext|>"),
        "eos_token_id": words.special("<|endoftext|>"),
        "torch_dtype": "bfloat16",
        "trained_length": TRAINED,
        "hole_padding": True,
    }


def write_settings(settings: Mapping[str, object], folder: Path) -> None:
    """config.json."""
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def save(model: nn.Module, folder: Path) -> None:
    """The weights in bfloat16 as model.safetensors, readable for all, written aside and moved into place."""
    state = {
        name.replace("_orig_mod.", ""): value.detach().bfloat16().cpu() for name, value in model.state_dict().items()
    }
    aside = folder / f"{WEIGHTS}.part"
    save_file(state, aside, metadata={"format": "pt"})
    aside.chmod(0o644)
    aside.replace(folder / WEIGHTS)
