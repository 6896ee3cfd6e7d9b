"""A checkpoint's tokenizer: text to token ids and back, the bytes of each token, chat prompts, special ids by name.

Read from tokenizer.json where there is one, else built from vocab.json, merges.txt and the added tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from diffucli import files
from diffucli.errors import BadCheckpoint
from diffucli.model import chat_template
from diffucli.model.checkpoint import (
    FETCH_AGAIN,
    TOKENIZER,
    TOKENIZER_CONFIG,
    as_bad_checkpoint,
    read_object,
    read_text,
)
from diffucli.model.families import dream
from diffucli.model.family import Clues
from diffucli.model.special_tokens import added_tokens, role, special_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.family import Family

# Qwen2's pre-tokeniser, from transformers' Qwen2TokenizerFast.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
VOCAB, MERGES = "vocab.json", "merges.txt"
OTHER_BPE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")  # would lose or change text
FENCE = "```"
REQUEST = "\ue000request\ue001"  # stands for the request in a chat; private characters, in no template
OTHER_CHECKPOINT = "fetch the checkpoint again, or use another one"


@dataclass(frozen=True)
class Tokenizer:
    """Text ⇄ token ids. Encoding and decoding change nothing, so threads may share a tokenizer."""

    bpe: tokenizers.Tokenizer
    family: Family
    chat_text: str = ""  # of the checkpoint's own template, with REQUEST in the place of the request

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
        return self.special(self.family.mask) if self.family.mask_id is None else self.family.mask_id

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
    def padding(self) -> frozenset[int]:
        """The ids that fill an answer up behind its end."""
        return frozenset(self._present(self.family.pads))

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
        """The ids of the mask and of all special tokens, which never stand for users' text."""
        added = self.bpe.get_added_tokens_decoder().items()
        return frozenset((self.mask, *(i for i, token in added if token.special)))

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

    def special_ids(self, name: str) -> list[int]:
        """The id of the special token `name` in a list; none for ""."""
        return [self.special(name)] if name else []

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
        text = self.chat_text or self.family.template.text(REQUEST)
        *parts, last = self._special_names.split(text)
        ids = [i for part in parts for i in self._encode_part(part, query)]
        return [*ids, *self.encode(last.replace(REQUEST, query) + prefill)]

    def _present(self, names: tuple[str, ...]) -> list[int]:
        """The ids of those of `names` that the vocabulary has."""
        found = (self.bpe.token_to_id(name) for name in names)
        return [token for token in found if token is not None]

    def _encode_part(self, part: str, request: str = REQUEST) -> list[int]:
        """The ids of a text that is the name of one special token, or holds none; with `request` in its place."""
        if self._special_names.fullmatch(part):
            return [self.special(part)]
        return self.encode(part.replace(REQUEST, request))

    @cached_property
    def _special_names(self) -> re.Pattern[str]:
        """Matches the name of any special token, the longest first, in a group."""
        added = (token.content for token in self.bpe.get_added_tokens_decoder().values() if token.special)
        names = sorted(added, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names)) or '(?!)'})")

    @cached_property
    def _pieces(self) -> tuple[bytes, ...]:
        byte_of = {char: byte for byte, char in byte_characters().items()}
        pieces = [b""] * self.vocab_size
        added = self.bpe.get_added_tokens_decoder()
        for token, i in self.bpe.get_vocab(with_added_tokens=False).items():
            if i not in added:
                pieces[i] = bytes(byte_of[char] for char in token)
        for i, each in added.items():
            pieces[i] = each.content.encode()
        return tuple(pieces)


def read(folder: Path, family: Family | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint of `family` (Dream's by default). Raises BadCheckpoint if a file is damaged."""
    read_object(folder / TOKENIZER_CONFIG)
    family = family or dream(Clues(folder))
    found = _read_full(folder) if files.exists(folder / TOKENIZER) else _read_parts(folder)
    if family.added and found.token_to_id(family.added) is None:
        found.add_special_tokens([AddedToken(family.added, special=True, normalized=False)])
    if family.mask_id is None and found.token_to_id(family.mask) is None:
        raise BadCheckpoint(f"{folder}: the vocabulary lacks {family.mask}", hint=OTHER_CHECKPOINT)
    return Tokenizer(found, family, _chat_text(folder, family))


def _chat_text(folder: Path, family: Family) -> str:
    """A chat by the checkpoint's own template, with REQUEST as the request; "" if it has none.

    Raises BadCheckpoint if the template cannot be rendered, or loses the request.
    """
    template = family.template
    if template is None or not template.source:
        return ""
    turns = [{"role": who, "content": content} for who, content in template.turns(REQUEST)]
    names = {key: role(folder, key) or "" for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
    try:
        text = chat_template.render(template.source, turns, names)
    except chat_template.Failed as exc:
        raise BadCheckpoint(f"{folder}: the chat template cannot be rendered: {exc}", hint=FETCH_AGAIN) from exc
    if REQUEST not in text:
        raise BadCheckpoint(f"{folder}: the chat template leaves the request out", hint=FETCH_AGAIN)
    return text


def _read_parts(folder: Path) -> tokenizers.Tokenizer:
    """The tokenizer by vocab.json, merges.txt and the lists of added tokens."""
    vocab, merges = read_object(folder / VOCAB), _merges(read_text(folder / MERGES))
    check_alphabet(folder / VOCAB, vocab)
    with as_bad_checkpoint(f"{folder}: the vocabulary and the merges of {VOCAB} and {MERGES} do not fit together"):
        bpe = models.BPE(vocab, [_pair(merge) for merge in merges])
    added = added_tokens(folder)
    with as_bad_checkpoint(f"{folder}: the added tokens do not fit the vocabulary"):
        return build(bpe, added)


def _merges(text: str) -> list[str]:
    """The lines of a merges.txt that are merges."""
    return [line for line in text.splitlines() if line and not line.startswith("#version")]


def _read_full(folder: Path) -> tokenizers.Tokenizer:
    """The tokenizer by tokenizer.json. Raises BadCheckpoint unless it is a byte-level one that keeps text as it is."""
    path = folder / TOKENIZER
    values = read_object(path)
    with as_bad_checkpoint(f"{path} holds no tokenizer"):
        model, changing = values["model"], [name for name in OTHER_BPE if values["model"].get(name)]
        if not _is_nfc(values.get("normalizer") or {"type": "NFC"}):
            changing.append("normalizer")
        if model.get("type") != "BPE":
            raise BadCheckpoint(f"{path} is no byte-level BPE but {model.get('type')!r:.40}", hint=OTHER_CHECKPOINT)
        if changing:
            raise BadCheckpoint(f"{path} changes text ({', '.join(changing)})", hint=OTHER_CHECKPOINT)
        names = [token["content"] for token in values.get("added_tokens") or []]
        check_alphabet(path, {name: i for name, i in model["vocab"].items() if name not in {*names}})
        found: tokenizers.Tokenizer = tokenizers.Tokenizer.from_str(read_text(path))
    special = (name for name in names if not name.isspace())
    found.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    found.encode_special_tokens = True
    found.no_padding()
    found.no_truncation()
    _require_listed(folder, found)
    return found


def _require_listed(folder: Path, tokenizer: tokenizers.Tokenizer) -> None:
    """Raises BadCheckpoint unless `tokenizer` has the tokens that other files list, with the same ids.

    Those that follow its last id are added to it.
    """
    for name, number in special_tokens(folder).items():
        if tokenizer.token_to_id(name) is None and number == tokenizer.get_vocab_size():
            tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False)])
        if tokenizer.token_to_id(name) != number:
            other = f"{folder / TOKENIZER} is of another vocabulary: it has no token {name} with the id {number}"
            raise BadCheckpoint(other, hint=FETCH_AGAIN)


def _is_nfc(normalizer: dict[str, Any]) -> bool:
    """Whether a normaliser composes characters and does nothing else."""
    stages = normalizer.get("normalizers", [normalizer])
    return all(stage.get("type") == "NFC" for stage in stages)


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
