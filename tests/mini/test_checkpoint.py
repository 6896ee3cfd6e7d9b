"""mini's vocabulary, config and weights are in the published layout."""

from __future__ import annotations

import json
import stat
import unicodedata
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from diffucli.mini.checkpoint import config_of, learn_vocabulary, save, write_config
from diffucli.model.families import END_OF_TEXT, MASK, PAD, TURN_END, TURN_START
from diffucli.model.tokenizer import read as read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.tokenizer import Tokenizer

VOCAB_SIZE = 1024  # of the fixture


@given(st.text())
def test_text_comes_back_whatever_it_is(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def test_code_comes_back(tokenizer: Tokenizer) -> None:
    code = "def f(x):\n\tif x > 10:\n        return {'a': 'ä→'}\n"
    assert tokenizer.decode(tokenizer.encode(code)) == code


def test_the_files_are_those_of_the_published_layout(vocabulary_folder: Path, tokenizer: Tokenizer) -> None:
    names = {"vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"}
    assert {path.name for path in vocabulary_folder.iterdir()} == names
    assert tokenizer.instruct
    added = json.loads((vocabulary_folder / "added_tokens.json").read_text())
    assert sorted(added.values()) == list(range(VOCAB_SIZE - len(added), VOCAB_SIZE))
    assert tokenizer.vocab_size == VOCAB_SIZE


def test_special_tokens_are_found_by_name(tokenizer: Tokenizer) -> None:
    for name in (END_OF_TEXT, TURN_START, TURN_END, MASK, PAD):
        assert tokenizer.piece(tokenizer.special(name)) == name.encode()
    assert tokenizer.mask == tokenizer.special(MASK)
    assert tokenizer.pad == tokenizer.special(PAD)
    assert tokenizer.ends == {tokenizer.special(name) for name in (END_OF_TEXT, TURN_END, PAD)}


def test_a_special_token_in_text_is_text(tokenizer: Tokenizer) -> None:
    assert not set(tokenizer.encode(f"a {MASK} b")) & tokenizer.specials


def test_the_chat_template_is_the_published_one(tokenizer: Tokenizer) -> None:
    turn, end = tokenizer.special(TURN_START), tokenizer.special(TURN_END)
    ids = tokenizer.chat("sort", prefill="Here")
    assert [i for i in ids if i in tokenizer.specials] == [turn, end, turn, end, turn]
    assert tokenizer.decode(ids) == (
        f"{TURN_START}system\nYou are a helpful assistant.{TURN_END}\n{TURN_START}user\nsort\n{TURN_END}\n"
        f"{TURN_START}assistant\nHere"
    )


def test_what_is_frequent_is_one_token(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(" return")) == 1
    assert len(tokenizer.encode("def")) == 1
    assert len(tokenizer.encode("\n   ")) <= 2
    assert tokenizer.encode("12") == tokenizer.encode("1") + tokenizer.encode("2"), "digits stand alone"


def test_learning_is_the_same_every_time(tmp_path: Path) -> None:
    texts = ["def f(x):\n    return x\n", "for item in items:\n    print(item)\n"] * 5
    for name in "ab":
        learn_vocabulary(texts, tmp_path / name, vocab_size=300)
    for name in ("vocab.json", "merges.txt", "added_tokens.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("vocab_size", [280, 320])
def test_the_size_of_the_vocabulary_includes_special_tokens(tmp_path: Path, vocab_size: int) -> None:
    learn_vocabulary(
        ["abc abd abe abf " * 9, "the cat and the hat and the bat " * 9] * 9, tmp_path, vocab_size=vocab_size
    )
    assert read_tokenizer(tmp_path).vocab_size <= vocab_size


def test_the_config_names_the_shape_and_the_special_tokens(tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = config_of({"hidden_size": 64, "num_hidden_layers": 2}, tokenizer)
    assert (config["hidden_size"], config["num_hidden_layers"]) == (64, 2)
    assert config["initializer_range"] == 1 / 16
    for name, token in (("mask", MASK), ("pad", PAD), ("eos", END_OF_TEXT), ("bos", "<|beginoftext|>")):
        assert config[f"{name}_token_id"] == tokenizer.special(token)
    write_config(config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == config


def test_the_rows_of_the_vocabulary_are_a_multiple_of_64(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert config_of({"hidden_size": 64}, tokenizer)["vocab_size"] == VOCAB_SIZE == 16 * 64
    learn_vocabulary(["abc abd abe abf " * 9] * 9, tmp_path, vocab_size=270)
    assert config_of({"hidden_size": 64}, read_tokenizer(tmp_path))["vocab_size"] == 5 * 64


def test_weights_are_saved_in_bfloat16_under_their_names_and_replace_the_old_file(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    (tmp_path / "model.safetensors").write_text("old")
    save(torch.nn.ModuleDict({"_orig_mod": layer}), tmp_path)
    (path,) = tmp_path.iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == ("model.safetensors", 0o644)
    tensors = load_file(path)
    assert set(tensors) == {"weight", "bias"}
    assert tensors["weight"].dtype == torch.bfloat16
    assert torch.equal(tensors["weight"], layer.weight.detach().bfloat16())
