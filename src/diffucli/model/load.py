"""A checkpoint folder becomes a network and a vocabulary; whatever is wrong with it becomes one clear line here.

Safetensors only, and no code of the checkpoint is ever run.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR, getLogger
from typing import TYPE_CHECKING, Any, Literal

import torch  # noqa: TID253 — this room is torch's own
from transformers import BitsAndBytesConfig, Qwen2Config, Qwen2ForCausalLM  # noqa: TID253
from transformers.utils import logging  # noqa: TID253

from diffucli.errors import BadCheckpoint, NoRoom, UsageError
from diffucli.model import vocabulary
from diffucli.model.files import REPAIR, blaming, read_object
from diffucli.model.network import Network, configure, self_check
from diffucli.model.shards import check_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from diffucli.model.shards import Shape
    from diffucli.model.vocabulary import Vocabulary
Quant = Literal["auto", "nf4", "none"]
FAMILY = "Dream"
DEVICES = ("cpu", "cuda", "mps")
OPTIONAL = ("trained_length",)
SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", *OPTIONAL),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint. `hole_padding`: trained to fill what a hole does not need with pad tokens."""

    folder: Path
    network: Network
    vocabulary: Vocabulary
    settings: Mapping[str, Any]

    @property
    def hole_padding(self) -> bool:
        """Whether config.json says that slack inside a hole may be padded."""
        return bool(self.settings.get("hole_padding", False))

    @property
    def context(self) -> int:
        """The number of tokens, prompt and canvas together, the checkpoint was trained for."""
        return min(int(self.settings.get("trained_length", 2048)), int(self.settings["max_position_embeddings"]))


def load(folder: Path, *, device: str = "auto", quant: Quant = "auto") -> Checkpoint:
    """The checkpoint in `folder`, checked and ready.

    device: "auto" (the GPU where there is one), "cpu", "cuda", "cuda:1", "mps". quant: "nf4" packs the layers in four
    bits (head and embeddings stay), "none" keeps them; "auto" is NF4 on a GPU for large checkpoints, else none.
    Raises BadCheckpoint, NoRoom, UsageError.
    """
    place = find_device(device)
    settings = read_settings(folder)
    words = vocabulary.read(folder)
    check_mask(folder, settings, words)
    with blaming(f"{folder / 'config.json'} cannot be used"):
        config = configure(settings)
        wanted = wanted_shapes(config)
    check_shapes(folder, wanted)
    with _within_memory(folder, place), blaming(f"{folder} cannot be loaded"):
        network = Network(_materialise(folder, config, place, quant=_quantised(quant, config, place)))
        self_check(network, folder)
    return Checkpoint(folder, network, words, settings)


def read_settings(folder: Path) -> dict[str, Any]:
    """config.json; BadCheckpoint where the folder is none of this family."""
    path = folder / "config.json"
    if not path.exists():
        raise BadCheckpoint(f"{folder} is no checkpoint: it lacks config.json", hint="name a checkpoint folder")
    settings = read_object(path)
    kind = settings.get("model_type")
    if kind != FAMILY:
        raise BadCheckpoint(f"{path}: model_type {kind!r} is not supported", hint=f"use one of model_type {FAMILY!r}")
    for key in SIZES:
        size = settings.get(key, 1 if key in OPTIONAL else None)
        if type(size) is not int or size < 1:
            raise BadCheckpoint(f"{path}: {key} must be a positive number, not {size!r}", hint=REPAIR)
    return settings


def check_mask(folder: Path, settings: Mapping[str, Any], words: Vocabulary) -> None:
    """BadCheckpoint where the vocabulary and config.json do not agree."""
    if settings.get("mask_token_id", words.mask) != words.mask:
        raise BadCheckpoint(f"{folder}: config.json and the vocabulary name different mask tokens", hint=REPAIR)
    if words.size > settings["vocab_size"]:
        raise BadCheckpoint(f"{folder}: the vocabulary has more tokens than the network has rows", hint=REPAIR)


def wanted_shapes(config: Qwen2Config) -> dict[str, Shape]:
    """Name → shape of every tensor that the network of `config` needs."""
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in Qwen2ForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        wanted.pop("lm_head.weight")
    return wanted


def find_device(name: str) -> torch.device:
    """The device a `--device` names; UsageError where there is none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unknown = UsageError(f"no device {name!r} here", hint="use --device cpu, or auto")
    if name.partition(":")[0] not in DEVICES:
        raise unknown
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise unknown from exc
    return device


LARGE = 1024  # hidden sizes from which four bits pay


def _quantised(quant: Quant, config: Qwen2Config, device: torch.device) -> bool:
    if quant == "auto":
        return device.type == "cuda" and config.hidden_size >= LARGE
    return quant == "nf4"


def _materialise(folder: Path, config: Qwen2Config, device: torch.device, *, quant: bool) -> Qwen2ForCausalLM:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    _quieten()
    try:
        model: Qwen2ForCausalLM = Qwen2ForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            device_map={"": device},
            quantization_config=_four_bits(config, dtype) if quant else None,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="sdpa",
        )
    except ImportError as exc:
        if quant:
            raise UsageError("four bits need bitsandbytes, which has no wheel here", hint="use --quant none") from exc
        raise
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _four_bits(config: Qwen2Config, dtype: torch.dtype) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head", *_odd(config)],
    )


@contextmanager
def _within_memory(folder: Path, device: torch.device) -> Iterator[None]:
    """NoRoom where the machine runs out of memory, which each allocator reports in its own way."""
    try:
        yield
    except BadCheckpoint as exc:
        cause = exc.__cause__
        if isinstance(cause, MemoryError) or (isinstance(cause, RuntimeError) and "memory" in str(cause)):
            raise NoRoom(
                f"not enough memory on {device} for {folder}", hint="try --quant nf4 or --device cpu"
            ) from cause
        raise


BLOCK, PACK = 64, 32  # weights of a row that share a scale in NF4; rows that bitsandbytes packs together on a CPU


def _odd(config: Qwen2Config) -> tuple[str, ...]:
    """Layers whose rows and columns fill no whole blocks; bitsandbytes cannot pack these on a CPU."""
    hidden, inner = config.hidden_size, config.intermediate_size
    narrow = hidden // config.num_attention_heads * (config.num_key_value_heads or config.num_attention_heads)
    shapes = {
        **dict.fromkeys(("q_proj", "o_proj"), (hidden, hidden)),
        **dict.fromkeys(("k_proj", "v_proj"), (narrow, hidden)),
        **dict.fromkeys(("gate_proj", "up_proj"), (inner, hidden)),
        "down_proj": (hidden, inner),
    }
    return tuple(name for name, (rows, columns) in shapes.items() if rows % PACK or columns % BLOCK)


def _quieten() -> None:
    """Notes of the libraries below are for their developers; the terminal is ours."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    getLogger("bitsandbytes").setLevel(ERROR)
