"""A checkpoint folder becomes a network and a vocabulary; whatever is wrong with it becomes one clear line here.

Safetensors only, and no code of the checkpoint is ever run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from diffucli.errors import BadCheckpoint, UsageError, as_out_of_memory
from diffucli.model import tokenizer
from diffucli.model.cuda_graph import recorder
from diffucli.model.files import REPAIR, blaming
from diffucli.model.materialise import Source, materialise
from diffucli.model.memory import choose
from diffucli.model.network import Network, self_check
from diffucli.model.shards import check_shapes
from diffucli.model.support import settings_of
from diffucli.model.transformer import Qwen2, Size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from diffucli.model.memory import Quant
    from diffucli.model.shards import Shape
    from diffucli.model.tokenizer import Tokenizer

DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint. `hole_padding`: trained to fill what a hole does not need with pad tokens."""

    folder: Path
    network: Network
    tokenizer: Tokenizer
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

    device: "auto" (the GPU where there is one), "cpu", "cuda", "cuda:1", "mps". quant: "nf4" has the layers in four
    bits (head and embeddings stay), "none" does not, whatever the files hold; "auto" is what runs fastest and fits, see
    `plan.choose`. Raises BadCheckpoint, NoRoom (before anything is loaded), UsageError.
    """
    place = find_device(device)
    settings = settings_of(folder)
    words = tokenizer.read(folder)
    check_mask(folder, settings, words)
    with blaming(f"{folder / 'config.json'} cannot be used"):
        size = Size.of(settings)
        wanted = wanted_shapes(size)
    check_shapes(folder, wanted)
    chosen = choose(settings, quant=quant, device=str(place))
    out_of_memory = as_out_of_memory(f"{folder} on {chosen.device}", hint="try --quant nf4 or --device cpu")
    with blaming(f"{folder} cannot be loaded"), out_of_memory:
        network = Network(materialise(Source(folder, settings, size), chosen), recorder=recorder(chosen))
        self_check(network, folder)
    return Checkpoint(folder, network, words, settings)


def check_mask(folder: Path, settings: Mapping[str, Any], words: Tokenizer) -> None:
    """BadCheckpoint where the vocabulary and config.json do not agree."""
    if settings.get("mask_token_id", words.mask) != words.mask:
        raise BadCheckpoint(f"{folder}: config.json and the vocabulary name different mask tokens", hint=REPAIR)
    if words.size > settings["vocab_size"]:
        raise BadCheckpoint(f"{folder}: the vocabulary has more tokens than the network has rows", hint=REPAIR)


def wanted_shapes(size: Size) -> dict[str, Shape]:
    """Name → shape of every tensor that the network of `size` needs."""
    with torch.device("meta"):
        held = Qwen2(size).state_dict()
    wanted = {part: tuple(rows.shape) for name in held for part, rows in size.apart(name, held[name]).items()}
    if size.tied:
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
