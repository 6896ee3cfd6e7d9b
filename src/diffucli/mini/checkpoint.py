"""mini's checkpoint folder in the published layout: vocabulary files, config.json and model.safetensors.

The vocabulary is a small byte-level BPE learned from the training text.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as BPETokenizer

from diffucli.model.families import BEGIN_OF_TEXT, END_OF_TEXT, MASK, PAD, TURN_END, TURN_START
from diffucli.model.tokenizer import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import nn

    from diffucli.model.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
LONGEST_CANVAS, TRAINED = 2048, 320  # tokens: the number of positions, and the longest training row
SPECIALS = (END_OF_TEXT, TURN_START, TURN_END, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
ADDED = (*SPECIALS, BEGIN_OF_TEXT, MASK, PAD)
VOCAB_SIZE = 2048


def learn_vocabulary(texts: Iterable[str], folder: Path, *, vocab_size: int = VOCAB_SIZE) -> None:
    """Learns a vocabulary of at most `vocab_size` tokens, special tokens included, and writes its files to `folder`."""
    bpe = BPETokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(ADDED),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    bpe.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    bpe.model.save(str(folder))
    added = {name: bpe.get_vocab_size() + i for i, name in enumerate(ADDED)}
    _write(folder / "added_tokens.json", added)
    named = {"eos_token": END_OF_TEXT, "mask_token": MASK, "pad_token": PAD, "bos_token": BEGIN_OF_TEXT}
    _write(folder / "special_tokens_map.json", {**named, "additional_special_tokens": list(ADDED)})
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    decoder = {str(i): {"content": name, **flags} for name, i in added.items()}
    described = {"tokenizer_class": "DreamTokenizer", **named, "added_tokens_decoder": decoder}
    _write(folder / "tokenizer_config.json", described)


def config_of(shape: Mapping[str, int], tokenizer: Tokenizer) -> dict[str, object]:
    """The content of config.json for a network of `shape`. The vocabulary is padded to a multiple of 64 rows."""
    return {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "vocab_size": -(-tokenizer.vocab_size // 64) * 64,
        **shape,
        "max_position_embeddings": LONGEST_CANVAS,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 1 / math.sqrt(shape["hidden_size"]) / 2,
        "tie_word_embeddings": False,
        "mask_token_id": tokenizer.mask,
        "pad_token_id": tokenizer.pad,
        "bos_token_id": tokenizer.special(BEGIN_OF_TEXT),
        "eos_token_id": tokenizer.special(END_OF_TEXT),
        "torch_dtype": "bfloat16",
        "trained_length": TRAINED,
        "hole_padding": True,
    }


def write_config(config: Mapping[str, object], folder: Path) -> None:
    """Writes config.json."""
    _write(folder / "config.json", config)


def save(model: nn.Module, folder: Path) -> None:
    """Writes the weights in bfloat16 as model.safetensors, readable by all users; an older file is replaced at once."""
    state = {
        name.replace("_orig_mod.", ""): value.detach().bfloat16().cpu() for name, value in model.state_dict().items()
    }
    part = folder / f"{WEIGHTS}.part"
    save_file(state, part, metadata={"format": "pt"})
    part.chmod(0o644)
    part.replace(folder / WEIGHTS)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
