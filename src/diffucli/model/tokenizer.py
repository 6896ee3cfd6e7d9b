"""A checkpoint's vocabulary: text to ids and back, each id's bytes, the chat template, special ids by name.

Built from vocab.json, merges.txt and the added tokens, as the published checkpoints ship no tokenizer.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from diffucli.errors import BadCheckpoint
from diffucli.model.files import REPAIR, blaming, read_object, read_text

if TYPE_CHECKING:
    from pathlib import Path

# Qwen2's pre-tokeniser, from transformers' Qwen2TokenizerFast.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MASK, PAD, END_OF_TEXT, TURN, END_OF_TURN = "<|mask|>", "<|dlm_pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
FENCE = "```"
SYSTEM = "You are a helpful assistant."


@dataclass(frozen=True)
class Tokenizer:
    """Text ⇄ ids. `instruct` tells whether the checkpoint answers chat turns or only continues raw text."""

    bpe: tokenizers.Tokenizer
    instruct: bool

    @cached_property
    def size(self) -> int:
        """One past the last id with a meaning; rows of the network past it were never trained."""
        return max(self.bpe.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def mask(self) -> int:
        """The id of the mask token."""
        return self.special(MASK)

    @cached_property
    def pad(self) -> int:
        """The id that fills what is not needed: `<|dlm_pad|>`, or end-of-text where there is none."""
        found: int | None = self.bpe.token_to_id(PAD)
        return self.special(END_OF_TEXT) if found is None else found

    @cached_property
    def ends(self) -> frozenset[int]:
        """The ids at which an answer is cut."""
        found = (self.bpe.token_to_id(name) for name in (END_OF_TURN, PAD, END_OF_TEXT))
        return frozenset(token for token in found if token is not None)

    @cached_property
    def fences(self) -> frozenset[int]:
        """The ids whose bytes begin with a closing code fence."""
        return frozenset(i for i in range(self.size) if self.piece(i).startswith(FENCE.encode()))

    @cached_property
    def specials(self) -> frozenset[int]:
        """The ids of all added tokens, none of which is text."""
        return frozenset(self.bpe.get_added_tokens_decoder())

    def special(self, name: str) -> int:
        """The id of a special token by its name; BadCheckpoint if the vocabulary lacks it."""
        found: int | None = self.bpe.token_to_id(name)
        if found is None:
            raise BadCheckpoint(f"the vocabulary lacks the token {name}", hint="use a Dream or DiffuCoder checkpoint")
        return found

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of `text`. Names of special tokens in it are plain text unless `special`, as users' text must be."""
        self.bpe.encode_special_tokens = not special
        ids: list[int] = self.bpe.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        """Text of `ids`; special tokens by their names, bytes that are no UTF-8 as U+FFFD."""
        return b"".join(self.piece(i) for i in ids).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes that token `token` stands for; empty for rows past the vocabulary."""
        return self._pieces[token] if 0 <= token < len(self._pieces) else b""

    def chat(self, query: str, *, prefill: str = "") -> list[int]:
        """The published chat template up to and with the beginning `prefill` of the assistant's turn."""
        turn, end = self.special(TURN), self.special(END_OF_TURN)
        return [
            *(turn, *self.encode(f"system\n{SYSTEM}"), end, *self.encode("\n")),
            *(turn, *self.encode(f"user\n{query}\n"), end, *self.encode("\n")),
            *(turn, *self.encode(f"assistant\n{prefill}")),
        ]

    @cached_property
    def line_ends(self) -> tuple[int, ...]:
        """Ids of the tokens that hold a newline."""
        return tuple(i for i, piece in enumerate(self._pieces) if b"\n" in piece)

    @cached_property
    def _pieces(self) -> tuple[bytes, ...]:
        byte_of = {char: byte for byte, char in _byte_characters().items()}
        pieces = [b""] * self.size
        for token, i in self.bpe.get_vocab(with_added_tokens=False).items():
            pieces[i] = bytes(byte_of[char] for char in token)
        for i, added in self.bpe.get_added_tokens_decoder().items():
            pieces[i] = added.content.encode()
        return tuple(pieces)


def read(folder: Path) -> Tokenizer:
    """The vocabulary of a checkpoint folder; BadCheckpoint names the file that is missing or wrong."""
    vocab, settings = read_object(folder / "vocab.json"), read_object(folder / "tokenizer_config.json")
    lines = read_text(folder / "merges.txt").splitlines()
    check_alphabet(folder / "vocab.json", vocab)
    with blaming(f"{folder}: vocab.json and merges.txt do not fit together"):
        model = models.BPE(vocab, [_pair(line) for line in lines if line and not line.startswith("#version")])
    added = _added(folder, settings)
    with blaming(f"{folder}: the added tokens do not fit the vocabulary"):
        vocabulary = Tokenizer(build(model, added), instruct="chat_template" in settings or PAD in added)
    if MASK not in added:
        raise BadCheckpoint(f"{folder}: the vocabulary lacks {MASK}", hint="use a Dream or DiffuCoder checkpoint")
    return vocabulary


def check_alphabet(path: Path, vocab: dict[str, Any]) -> None:
    """BadCheckpoint unless `vocab` spells every byte, so that no text is lost, and spells in bytes alone."""
    alphabet = set(_byte_characters().values())
    if not alphabet <= vocab.keys() or not alphabet.issuperset("".join(vocab)):
        raise BadCheckpoint(f"{path} is no byte-level vocabulary", hint=REPAIR)


def build(model: models.Model, added: dict[str, int]) -> tokenizers.Tokenizer:
    """A byte-level tokenizer around `model` with Qwen2's normaliser, pre-tokeniser and the `added` special tokens.

    ValueError unless these take the ids that follow the model's, in order.
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
    in_order = sorted(added, key=added.__getitem__)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in in_order])
    wrong = [name for name in in_order if tokenizer.token_to_id(name) != added[name]]
    if wrong:
        raise ValueError(f"{wrong[0]} does not follow")
    return tokenizer


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right


def _added(folder: Path, settings: dict[str, Any]) -> dict[str, int]:
    """Name → id of the added tokens, from their own file or, as newer layouts have it, from tokenizer_config.json."""
    path = folder / "added_tokens.json"
    if path.exists():
        names = read_object(path)
        with blaming(f"{path} gives a token no id"):
            return {name: int(i) for name, i in names.items()}
    with blaming(f"{folder / 'tokenizer_config.json'} lists no added tokens"):
        return {str(entry["content"]): int(i) for i, entry in settings["added_tokens_decoder"].items()}


def _byte_characters() -> dict[int, str]:
    """GPT-2's map from each byte to a printable character, in which vocab.json spells its tokens."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(rest)}
