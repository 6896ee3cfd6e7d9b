"""mini's vocabulary: a small byte-level BPE learned from its own training text, in the published file layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from diffucli.model.family import BEGIN_OF_TEXT, END_OF_TEXT, MASK, PAD, TURN_END, TURN_START
from diffucli.model.tokenizer import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SPECIALS = (END_OF_TEXT, TURN_START, TURN_END, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
ADDED = (*SPECIALS, BEGIN_OF_TEXT, MASK, PAD)
ROWS = 2048


def learn(texts: Iterable[str], folder: Path, *, rows: int = ROWS) -> None:
    """Learns a vocabulary of `rows` entries, special tokens included, from `texts` and writes its files to `folder`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=rows - len(ADDED),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.model.save(str(folder))
    added = {name: tokenizer.get_vocab_size() + i for i, name in enumerate(ADDED)}
    _write(folder / "added_tokens.json", added)
    named = {"eos_token": END_OF_TEXT, "mask_token": MASK, "pad_token": PAD, "bos_token": BEGIN_OF_TEXT}
    _write(folder / "special_tokens_map.json", {**named, "additional_special_tokens": list(ADDED)})
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "DreamTokenizer", **named, **_decoder(added)})


def _decoder(added: dict[str, int]) -> dict[str, object]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {"added_tokens_decoder": {str(i): {"content": name, **flags} for name, i in added.items()}}


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
