"""How a checkpoint is prompted and decoded, built from config.json and the tokenizer's files here alone.

Special tokens are looked up by name, never by id. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli import files
from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import CONFIG, TOKENIZER, TOKENIZER_CONFIG, as_bad_checkpoint, read_object
from diffucli.model.config import Config

if TYPE_CHECKING:
    from pathlib import Path

Attention = Literal["full"]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a request becomes a chat: a system turn, a user turn, and the beginning of the assistant's turn.

    A turn is `turn_start`, the role, a newline, the content, `turn_end` and a newline.
    """

    turn_start: str
    turn_end: str
    system: str
    user_suffix: str = ""

    def turns(self, query: str) -> tuple[tuple[str, str], ...]:
        """(role, content) of the turns before the assistant's."""
        return ("system", self.system), ("user", query + self.user_suffix)


@dataclass(frozen=True, slots=True)
class DefaultSampling:
    """How the authors of a checkpoint sample from it."""

    temperature: float
    top_p: float
    order: str = "entropy"


@dataclass(frozen=True, slots=True)
class Family:
    """How a checkpoint is prompted and decoded. Special tokens are named, never numbered.

    shift: 1 if the output at position i - 1 predicts position i, 0 if the output at i does. attention: "full" if every
    position attends to every other. pads: names of the pad token, the first that the vocabulary has counts. ends: the
    tokens that end an answer. expand: the token that lets a hole grow, in families that have one. template: None if the
    checkpoint only continues text. tensor_names: (ours, theirs) parts of tensor names that differ from Qwen2's.
    sampling: the published default, None if there is none.
    """

    name: str
    shift: int
    attention: Attention
    mask: str
    begin: str
    pads: tuple[str, ...]
    ends: tuple[str, ...]
    expand: str | None = None
    template: ChatTemplate | None = None
    tensor_names: tuple[tuple[str, str], ...] = ()
    sampling: DefaultSampling | None = None

    def tensor_name(self, name: str) -> str:
        """The published name of the tensor that is called `name` in Qwen2."""
        for ours, theirs in self.tensor_names:
            name = name.replace(ours, theirs)
        return name


ADDED, TEMPLATE = "added_tokens.json", "chat_template.jinja"
MASK, PAD, EXPAND = "<|mask|>", "<|dlm_pad|>", "<|expand|>"
BEGIN_OF_TEXT, END_OF_TEXT = "<|beginoftext|>", "<|endoftext|>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
DREAM_CHAT = ChatTemplate(TURN_START, TURN_END, system="You are a helpful assistant.", user_suffix="\n")
DREAM_TYPE = "Dream"
UNSHIFTED_TYPES = ("llada", "llada_moe")
PULL_ANOTHER = "diffu model pull diffucoder brings one that runs"
SAMPLING = {  # repository → what its authors sample with
    "apple/DiffuCoder-7B-Base": DefaultSampling(0.2, 0.95),
    "apple/DiffuCoder-7B-Instruct": DefaultSampling(0.3, 0.95),
    "apple/DiffuCoder-7B-cpGRPO": DefaultSampling(0.4, 0.95),
    "Dream-org/Dream-v0-Instruct-7B": DefaultSampling(0.2, 0.95),
    "Dream-org/DreamOn-v0-7B": DefaultSampling(0.2, 0.9),
}


def dream(*, chat: bool, source: str = "") -> Family:
    """The family of Dream and DiffuCoder. chat: the checkpoint answers chat turns. source: its repository, if known."""
    return Family(
        name="dream",
        shift=1,
        attention="full",
        mask=MASK,
        begin=BEGIN_OF_TEXT,
        pads=(PAD, END_OF_TEXT),
        ends=(TURN_END, PAD, END_OF_TEXT),
        template=DREAM_CHAT if chat else None,
        sampling=SAMPLING.get(source),
    )


def read(folder: Path, *, name: str = "", source: str = "") -> tuple[Config, Family]:
    """The config and the family of a checkpoint that can be run. Raises BadCheckpoint if it cannot, and says why.

    name: what error messages call the checkpoint; its path by default. source: the repository it comes from, if known.
    """
    name = name or str(folder)
    if not files.exists(folder / CONFIG):
        raise BadCheckpoint(f"{name} is no checkpoint: it lacks {CONFIG}", hint="name a checkpoint folder")
    values = read_object(folder / CONFIG)
    family = read_family(folder, values.get("model_type"), name=name, source=source)
    with as_bad_checkpoint(f"{name}: {CONFIG} cannot be used"):
        try:
            return Config.from_json(values), family
        except BadCheckpoint as exc:
            raise type(exc)(f"{name}: {exc.message}", hint=exc.hint) from exc


def read_family(folder: Path, model_type: object, *, name: str = "", source: str = "") -> Family:
    """The family of a checkpoint by its model_type and special tokens. Raises BadCheckpoint if it cannot be run."""
    reason = ""
    if isinstance(model_type, str) and model_type.lower() in UNSHIFTED_TYPES:
        reason = f"model_type {model_type!r} predicts without the shift (LLaDA family), which is not supported yet"
    elif model_type != DREAM_TYPE:
        reason = f"model_type {model_type!r} is not supported, only {DREAM_TYPE!r} is"
    elif EXPAND in special_tokens(folder):
        reason = f"its token {EXPAND} lets holes grow (DreamOn), which is not supported yet"
    if reason:
        raise BadCheckpoint(f"{name or folder} cannot be run: {reason}", hint=PULL_ANOTHER)
    return dream(chat=answers_chat(folder), source=source)


def added_tokens(folder: Path) -> dict[str, int]:
    """Name → id of the added tokens by added_tokens.json, else by tokenizer_config.json, else by tokenizer.json.

    Raises BadCheckpoint if none lists them.
    """
    if files.exists(folder / ADDED):
        return _listed_apart(folder)
    if files.exists(folder / TOKENIZER) and not read_object(folder / TOKENIZER_CONFIG).get("added_tokens_decoder"):
        return _listed_in_full(folder)
    return _listed_by_tokenizer(folder)


def special_tokens(folder: Path) -> dict[str, int]:
    """Name → id of the tokens that these files list, in the order of ids. Raises BadCheckpoint if one is damaged."""
    found: dict[str, int] = {}
    path = folder / TOKENIZER_CONFIG
    if files.exists(path) and read_object(path).get("added_tokens_decoder"):
        found |= _listed_by_tokenizer(folder)
    if files.exists(folder / ADDED):
        found |= _listed_apart(folder)
    if not found and files.exists(folder / TOKENIZER):
        found = _listed_in_full(folder)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def answers_chat(folder: Path) -> bool:
    """Whether the checkpoint has a chat template, or the pad token that instruction tuning added."""
    has_template = "chat_template" in read_object(folder / TOKENIZER_CONFIG) or files.exists(folder / TEMPLATE)
    return has_template or PAD in added_tokens(folder)


def _listed_apart(folder: Path) -> dict[str, int]:
    path = folder / ADDED
    names = read_object(path)
    with as_bad_checkpoint(f"{path} gives a token no id"):
        return {str(name): int(i) for name, i in names.items()}


def _listed_by_tokenizer(folder: Path) -> dict[str, int]:
    path = folder / TOKENIZER_CONFIG
    values = read_object(path)
    with as_bad_checkpoint(f"{path} lists no added tokens"):
        return {str(entry["content"]): int(i) for i, entry in values["added_tokens_decoder"].items()}


def _listed_in_full(folder: Path) -> dict[str, int]:
    path = folder / TOKENIZER
    values = read_object(path)
    with as_bad_checkpoint(f"{path} lists no added tokens"):
        return {str(entry["content"]): int(entry["id"]) for entry in values["added_tokens"]}
