"""A checkpoint's tokenizer: text to token ids and back, the bytes of each token, chat prompts, special ids by name.

Built from vocab.json, merges.txt and the added tokens; where these are missing, from what tokenizer.json has of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from diffucli import files
from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import (
    FETCH_AGAIN,
    TOKENIZER,
    TOKENIZER_CONFIG,
    as_bad_checkpoint,
    read_object,
    read_text,
)
from diffucli.model.family import added_tokens, answers_chat, dream

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.family import Family

# Qwen2's pre-tokeniser, from transformers' Qwen2TokenizerFast.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
VOCAB, MERGES = "vocab.json", "merges.txt"
OTHER_BPE = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
)
FENCE = "```"
OTHER_CHECKPOINT = "use a Dream or DiffuCoder checkpoint"


@dataclass(frozen=True)
class Tokenizer:
    """Text ⇄ token ids. Encoding and decoding change nothing, so threads may share a tokenizer."""

    bpe: tokenizers.Tokenizer
    family: Family

    @property
    def instruct(self) -> bool:
        """Whether the checkpoint answers chat turns; otherwise it only continues text."""
        return self.family.template is not None

    @cached_property
    def vocab_size(self) -> int:
        """One past the last id with a meaning. The network may have further rows, which were never trained."""
        return max(self.bpe.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def mask(self) -> int:
        """The id of the mask token."""
        return self.special(self.family.mask)

    @cached_property
    def pad(self) -> int:
        """The id of the pad token, or of end-of-text in vocabularies without one. Raises BadCheckpoint if both lack."""
        found = self._present(self.family.pads)
        return found[0] if found else self.special(self.family.pads[-1])

    @cached_property
    def ends(self) -> frozenset[int]:
        """The ids that end an answer."""
        return frozenset(self._present(self.family.ends))

    @cached_property
    def turn_end(self) -> int:
        """The id that ends a chat turn; only of checkpoints that answer chat turns."""
        assert self.family.template is not None, "only a chat has turns"
        return self.special(self.family.template.turn_end)

    @cached_property
    def fences(self) -> frozenset[int]:
        """The ids whose bytes begin with a code fence."""
        return frozenset(i for i in range(self.vocab_size) if self.piece(i).startswith(FENCE.encode()))

    @cached_property
    def specials(self) -> frozenset[int]:
        """The ids of all added tokens, which never stand for users' text."""
        return frozenset(self.bpe.get_added_tokens_decoder())

    @cached_property
    def line_ends(self) -> tuple[int, ...]:
        """The ids of the tokens that hold a newline."""
        return tuple(i for i, piece in enumerate(self._pieces) if b"\n" in piece)

    def special(self, name: str) -> int:
        """The id of the special token `name`. Raises BadCheckpoint if the vocabulary lacks it."""
        found: int | None = self.bpe.token_to_id(name)
        if found is None:
            raise BadCheckpoint(f"the vocabulary lacks the token {name}", hint=OTHER_CHECKPOINT)
        return found

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of `text`. Names of special tokens in it are plain text, as users' text must be, unless `special`."""
        if special:
            return [i for part in self._special_names.split(text) for i in self._encode_part(part)]
        ids: list[int] = self.bpe.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        """The text of `ids`: special tokens as their names, bytes that are no UTF-8 as U+FFFD."""
        return b"".join(self.piece(i) for i in ids).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for ids without a meaning."""
        return self._pieces[token] if 0 <= token < len(self._pieces) else b""

    def blanks(self, *, behind_blank: bool) -> tuple[int, ...]:
        """The ids whose text begins with white space. behind_blank: a first blank belongs to what stands before it."""
        offset = int(behind_blank)
        return tuple(i for i, piece in enumerate(self._pieces) if piece[offset : offset + 1].isspace())

    def chat(self, query: str, *, prefill: str = "") -> list[int]:
        """The chat template around `query`, up to the assistant's turn, which begins with `prefill`.

        Only for checkpoints that answer chat turns.
        """
        assert self.family.template is not None, "only instruct checkpoints have a template"
        start, end = self.special(self.family.template.turn_start), self.turn_end
        ids = []
        for role, content in self.family.template.turns(query):
            ids += [start, *self.encode(f"{role}\n{content}"), end, *self.encode("\n")]
        return [*ids, start, *self.encode(f"assistant\n{prefill}")]

    def _present(self, names: tuple[str, ...]) -> list[int]:
        """The ids of those of `names` that the vocabulary has."""
        found = (self.bpe.token_to_id(name) for name in names)
        return [token for token in found if token is not None]

    def _encode_part(self, part: str) -> list[int]:
        """The ids of a text that is the name of one special token, or holds none."""
        return [self.special(part)] if self._special_names.fullmatch(part) else self.encode(part)

    @cached_property
    def _special_names(self) -> re.Pattern[str]:
        """Matches the name of any special token, the longest first, in a group."""
        names = sorted((added.content for added in self.bpe.get_added_tokens_decoder().values()), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names)) or '(?!)'})")

    @cached_property
    def _pieces(self) -> tuple[bytes, ...]:
        byte_of = {char: byte for byte, char in byte_characters().items()}
        pieces = [b""] * self.vocab_size
        for token, i in self.bpe.get_vocab(with_added_tokens=False).items():
            pieces[i] = bytes(byte_of[char] for char in token)
        for i, added in self.bpe.get_added_tokens_decoder().items():
            pieces[i] = added.content.encode()
        return tuple(pieces)


def read(folder: Path, family: Family | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint of `family` (Dream's by default). Raises BadCheckpoint if a file is damaged."""
    read_object(folder / TOKENIZER_CONFIG)
    if files.exists(folder / TOKENIZER) and not (files.exists(folder / VOCAB) and files.exists(folder / MERGES)):
        place, model = TOKENIZER, _read_full(folder / TOKENIZER)
    else:
        place = f"{VOCAB} and {MERGES}"
        model = {"vocab": read_object(folder / VOCAB), "merges": _merges(read_text(folder / MERGES))}
    check_alphabet(folder / place.split()[0], model["vocab"])
    with as_bad_checkpoint(f"{folder}: the vocabulary and the merges of {place} do not fit together"):
        bpe = models.BPE(model["vocab"], [_pair(merge) for merge in model["merges"]])
    added = added_tokens(folder)
    family = family or dream(chat=answers_chat(folder))
    with as_bad_checkpoint(f"{folder}: the added tokens do not fit the vocabulary"):
        tokenizer = Tokenizer(build(bpe, added), family)
    if family.mask not in added:
        raise BadCheckpoint(f"{folder}: the vocabulary lacks {family.mask}", hint=OTHER_CHECKPOINT)
    return tokenizer


def _merges(text: str) -> list[str]:
    """The lines of a merges.txt that are merges."""
    return [line for line in text.splitlines() if line and not line.startswith("#version")]


def _read_full(path: Path) -> dict[str, Any]:
    """The vocab and merges of a tokenizer.json. Raises BadCheckpoint if it splits text in another way than `build`."""
    values = read_object(path)
    with as_bad_checkpoint(f"{path} holds no tokenizer"):
        model, known = dict(values["model"]), json.loads(build(models.BPE(), {}).to_str())
        is_bpe = model["type"] == "BPE" and isinstance(model["vocab"], dict) and isinstance(model["merges"], list)
        changed = [name for name in OTHER_BPE if model.get(name)]
        stages = [name for name in ("normalizer", "pre_tokenizer") if _stage(values[name]) != _stage(known[name])]
    if not is_bpe or changed or stages:
        what = ", ".join([*changed, *stages]) or "its model"
        raise BadCheckpoint(f"{path} splits text in another way than Qwen2's ({what})", hint=OTHER_CHECKPOINT)
    return model


def _stage(value: Any) -> Any:
    """A stage of a tokenizer.json without what changes no ids."""
    if isinstance(value, dict):
        return {key: _stage(each) for key, each in value.items() if key != "trim_offsets"}
    return [_stage(each) for each in value] if isinstance(value, list) else value


def check_alphabet(path: Path, vocab: dict[str, Any]) -> None:
    """Raises BadCheckpoint unless `vocab` has every byte, so that no text is lost, and consists of bytes alone."""
    alphabet = set(byte_characters().values())
    if not alphabet <= vocab.keys() or not alphabet.issuperset("".join(vocab)):
        raise BadCheckpoint(f"{path} is no byte-level vocabulary", hint=FETCH_AGAIN)


def build(model: models.Model, added: dict[str, int]) -> tokenizers.Tokenizer:
    """A byte-level tokenizer around `model` with Qwen2's normaliser and pre-tokeniser and the `added` special tokens.

    Names of special tokens in a text are encoded as plain text. Raises ValueError unless the added tokens take the ids
    that follow the model's, in order.
    """
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.encode_special_tokens = True
    in_order = sorted(added, key=added.__getitem__)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in in_order])
    wrong = [name for name in in_order if tokenizer.token_to_id(name) != added[name]]
    if wrong:
        raise ValueError(f"{wrong[0]} does not follow")
    return tokenizer


def byte_characters() -> dict[int, str]:
    """GPT-2's map from each byte to a printable character; vocab.json spells its tokens in these characters."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


def _pair(merge: str | list[str]) -> tuple[str, str]:
    """The parts of a merge: "a b", or in newer files ["a", "b"]."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right
