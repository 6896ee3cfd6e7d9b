"""The true Qwen2.5 vocabulary, rebuilt from a package that ships its ranks: ids, round trips, a reference encoder.

The package, dashscope, is in the dev extra; without it these tests are skipped.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import unicodedata
from pathlib import Path

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from diffucli.model.tokenizer import SPLIT, Tokenizer, byte_characters, read

ADDED = json.loads((Path(__file__).parents[1] / "data" / "added-tokens-7b.json").read_text())
SPEC = importlib.util.find_spec("dashscope")  # found, never imported
RANKS = Path(SPEC.origin).parent / "resources" / "qwen.tiktoken" if SPEC and SPEC.origin else None
pytestmark = pytest.mark.skipif(
    RANKS is None or not RANKS.exists(), reason="the package dashscope, which ships the vocabulary, is not installed"
)
CODE = '''def flatten(items: list[list[int]], *, depth: int = 1) -> list[int]:
    """Ein Satz — naïve café, 日本語 🙂."""
\treturn [x for row in items for x in row if x != 0x1F and 3.14e-10 < x]  # TODO(me): fix\r\n


class Node:\n    __slots__ = ("left", "right")\n\n    def __lt__(self, other): return self.left<other.left
'''
SAMPLES = [CODE, "", " ", "\n\n\n  x", "don't I'LL we'Ve", "x = 1234567890", "a" * 300, "\t\t\tif(a){b++;}//…", "ﬁ Å"]


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    lines = RANKS.read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


@pytest.fixture(scope="module")
def words(ranks, tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("qwen")
    write(folder, ranks)
    return read(folder)


def write(folder: Path, ranks: dict[bytes, int]) -> None:
    """vocab.json, merges.txt and the added tokens in the published layout, from ranks.

    The merge that makes a token joins the two parts that all merges of lower rank leave of it.
    """
    characters = byte_characters()

    def spelled(token: bytes) -> str:
        return "".join(characters[byte] for byte in token)

    merges = (merged(token, ranks, ranks[token]) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1)
    lines = [" ".join(map(spelled, pair)) for pair in merges if len(pair) == 2]
    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps(ADDED))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages[-1].content }}"}))


def merged(text: bytes, ranks: dict[bytes, int], limit: int) -> list[bytes]:
    """Byte-pair encoding as plain as it can be: join the pair of lowest rank below `limit` until there is none."""
    parts = [text[i : i + 1] for i in range(len(text))]
    while len(parts) > 1:
        found = [(ranks.get(parts[i] + parts[i + 1], limit), i) for i in range(len(parts) - 1)]
        rank, i = min(found)
        if rank >= limit:
            break
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def reference(text: str, ranks: dict[bytes, int]) -> list[int]:
    pieces = regex.findall(SPLIT, unicodedata.normalize("NFC", text))
    return [ranks[part] for piece in pieces for part in merged(piece.encode(), ranks, len(ranks))]


def test_special_tokens_stand_at_their_published_ids(words, ranks):
    assert len(ranks) == 151_643
    assert (words.mask, words.pad, words.vocab_size) == (151_666, 151_667, 151_668)
    assert words.ends == {151_643, 151_645, 151_667}
    for name, i in ADDED.items():
        assert words.special(name) == i
        assert words.encode(name, special=True) == [i]
        assert words.specials.isdisjoint(words.encode(name))


def test_every_token_stands_for_its_bytes(words, ranks):
    assert all(words.piece(rank) == token for token, rank in ranks.items())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@example(CODE)
def test_text_comes_back_in_nfc_and_encodes_as_the_reference_does(words, ranks, text):
    ids = words.encode(text)
    assert words.decode(ids) == unicodedata.normalize("NFC", text)
    assert ids == reference(text, ranks)


@pytest.mark.parametrize("text", SAMPLES)
def test_code_encodes_as_the_reference_does(words, ranks, text):
    assert words.encode(text) == reference(text, ranks)


def test_the_source_of_this_project_comes_back(words):
    for path in sorted((Path(__file__).parents[2] / "src" / "diffucli" / "model").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert words.decode(words.encode(text)) == text


def test_known_ids(words):
    """As Qwen2.5 has them."""
    assert words.encode("Hello, world!") == [9707, 11, 1879, 0]
    assert words.encode("def main():\n    pass") == [750, 1887, 3932, 262, 1494]


def test_fences_are_found(words):
    assert words.encode("```")[0] in words.fences
