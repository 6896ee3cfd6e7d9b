"""The vocabulary that mini learns is one in the published layout."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.mini import bpe
from diffucli.model import tokenizer
from diffucli.model.family import END_OF_TEXT, MASK, PAD, TURN_END, TURN_START

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.tokenizer import Tokenizer

ROWS = 1024  # of the fixture


@given(st.text())
def test_text_comes_back_whatever_it_is(words: Tokenizer, text: str) -> None:
    assert words.decode(words.encode(text)) == unicodedata.normalize("NFC", text)


def test_code_comes_back(words: Tokenizer) -> None:
    code = "def f(x):\n\tif x > 10:\n        return {'a': 'ä→'}\n"
    assert words.decode(words.encode(code)) == code


def test_the_files_are_those_of_the_published_layout(vocabulary_folder: Path, words: Tokenizer) -> None:
    names = {"vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"}
    assert {path.name for path in vocabulary_folder.iterdir()} == names
    assert words.instruct
    added = json.loads((vocabulary_folder / "added_tokens.json").read_text())
    assert sorted(added.values()) == list(range(ROWS - len(added), ROWS))
    assert words.vocab_size == ROWS


def test_special_tokens_are_found_by_name(words: Tokenizer) -> None:
    for name in (END_OF_TEXT, TURN_START, TURN_END, MASK, PAD):
        assert words.piece(words.special(name)) == name.encode()
    assert words.mask == words.special(MASK)
    assert words.pad == words.special(PAD)
    assert words.ends == {words.special(name) for name in (END_OF_TEXT, TURN_END, PAD)}


def test_a_special_token_in_text_is_text(words: Tokenizer) -> None:
    assert not set(words.encode(f"a {MASK} b")) & words.specials


def test_the_chat_template_is_the_published_one(words: Tokenizer) -> None:
    turn, end = words.special(TURN_START), words.special(TURN_END)
    ids = words.chat("sort", prefill="Here")
    assert [i for i in ids if i in words.specials] == [turn, end, turn, end, turn]
    assert words.decode(ids) == (
        f"{TURN_START}system\nYou are a helpful assistant.{TURN_END}\n{TURN_START}user\nsort\n{TURN_END}\n"
        f"{TURN_START}assistant\nHere"
    )


def test_what_is_frequent_is_one_token(words: Tokenizer) -> None:
    assert len(words.encode(" return")) == 1
    assert len(words.encode("def")) == 1
    assert len(words.encode("\n   ")) <= 2
    assert words.encode("12") == words.encode("1") + words.encode("2"), "digits stand alone"


def test_learning_is_the_same_every_time(tmp_path: Path) -> None:
    texts = ["def f(x):\n    return x\n", "for item in items:\n    print(item)\n"] * 5
    for name in "ab":
        bpe.learn(texts, tmp_path / name, rows=300)
    for name in ("vocab.json", "merges.txt", "added_tokens.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("rows", [280, 320])
def test_the_number_of_rows_counts_special_tokens(tmp_path: Path, rows: int) -> None:
    bpe.learn(["abc abd abe abf " * 9, "the cat and the hat and the bat " * 9] * 9, tmp_path, rows=rows)
    assert tokenizer.read(tmp_path).vocab_size <= rows
