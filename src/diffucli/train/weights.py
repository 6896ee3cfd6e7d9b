"""The weights that are trained: all of a network's, or a low-rank adapter beside them; and a frozen copy as reference.

The network that writes rollouts is the one that is trained, so an update shows in its next forward.
"""

from __future__ import annotations

import json
import math
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import Tensor, nn

from diffucli.atomic import write_atomic
from diffucli.errors import UsageError
from diffucli.model.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PREFIX
from diffucli.model.checkpoint import CONFIG, SINGLE, read_object
from diffucli.model.config import QUANTIZATION_KEY
from diffucli.model.lora import LowRank, attach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from diffucli.model.load import Checkpoint

READABLE = 0o644
COPIED = (
    *("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"),
    *("special_tokens_map.json", "generation_config.json", "chat_template.jinja"),
)


class TrainedWeights:
    """The trained parameters of a checkpoint, by names. rank: of the adapter; 0: everything is trained.

    with_reference: keeps a copy of them as they are at first. A new adapter changes nothing, so its copy stands for the
    network without it.
    """

    def __init__(self, checkpoint: Checkpoint, *, rank: int, with_reference: bool) -> None:
        self.checkpoint, self.rank = checkpoint, rank
        self.named = _adapter(checkpoint, rank) if rank else _everything(checkpoint)
        for parameter in self.parameters:
            parameter.requires_grad = True
        self.reference = {name: each.detach().clone() for name, each in self.named.items()} if with_reference else {}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters in the order of their names."""
        return list(self.named.values())

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """Within, the network computes with the copy, without gradients."""
        self._swap()
        try:
            with torch.no_grad():
                yield
        finally:
            self._swap()

    def renew_reference(self) -> None:
        """Makes the copy, if there is one, equal to the weights as they are now."""
        for name, value in self.reference.items():
            value.copy_(self.named[name].detach())

    def write(self, folder: Path, *, base: str) -> None:
        """Writes what was trained to `folder`: a checkpoint, or an adapter in peft's layout for `base`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.rank:
            _write_adapter(self, folder, base)
        else:
            _write_checkpoint(self.checkpoint, folder)

    def _swap(self) -> None:
        for name, parameter in self.named.items():
            parameter.data, self.reference[name] = self.reference[name], parameter.data


def _everything(checkpoint: Checkpoint) -> dict[str, nn.Parameter]:
    """All parameters, in float32, in which small updates are not lost. UsageError: some are in four bits."""
    model = checkpoint.network.model
    if not all(parameter.is_floating_point() for parameter in model.parameters()):
        raise UsageError("weights in four bits cannot be trained", hint="add --lora 16, or --quant none")
    model.float()
    return dict(model.named_parameters())


def _adapter(checkpoint: Checkpoint, rank: int) -> dict[str, nn.Parameter]:
    """The parameters of a new adapter beside all matrices, drawn as peft draws them; alpha is twice the rank."""
    config, model, device = checkpoint.config, checkpoint.network.model, checkpoint.network.device
    rng = torch.Generator().manual_seed(0)
    updates = {}
    for i in range(config.num_layers):
        for name, (rows, columns) in config.matrices.items():
            bound = 1 / math.sqrt(columns)
            first = (2 * torch.rand(rank, columns, generator=rng) - 1) * bound
            updates[f"model.layers.{i}.{name}"] = LowRank(
                first.to(device), torch.zeros(rows, rank, device=device), scaling=2.0
            )
    attach(model, updates)
    named = ((f"{layer}.{part}", getattr(update, part)) for layer, update in updates.items() for part in PARTS)
    return dict(named)


PARTS = ("lora_A", "lora_B")


def _write_adapter(weights: TrainedWeights, folder: Path, base: str) -> None:
    family, tensors = weights.checkpoint.family, {}
    for name, value in weights.named.items():
        layer, _, part = name.rpartition(".")
        published = family.tensor_name(f"{layer}.weight").removesuffix(".weight")
        tensors[f"{PREFIX}{published}.{part}.weight"] = value.detach().cpu().contiguous()
    targets = sorted({name.removeprefix(PREFIX).split(".")[-3] for name in tensors})
    about: dict[str, object] = {"peft_type": "LORA", "base_model_name_or_path": base, "target_modules": targets}
    about |= {"r": weights.rank, "lora_alpha": 2 * weights.rank, "lora_dropout": 0.0, "bias": "none"}
    about |= {"inference_mode": True, "task_type": None}
    write_atomic(folder / ADAPTER_WEIGHTS, save(tensors, metadata={"format": "pt"}), mode=READABLE)
    write_atomic(folder / ADAPTER_CONFIG, _json(about), mode=READABLE)


def _write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """The weights in float32, as they were trained, and the files of the checkpoint that was trained."""
    config, family = checkpoint.config, checkpoint.family
    tensors: dict[str, Tensor] = {}
    for name, value in checkpoint.network.model.state_dict().items():
        for part, rows in config.split_fused(name, value).items():
            if not (config.tie_word_embeddings and part == "lm_head.weight"):
                tensors[family.tensor_name(part)] = rows.cpu().contiguous()
    values = read_object(checkpoint.folder / CONFIG)
    values.pop(QUANTIZATION_KEY, None)
    write_atomic(folder / SINGLE, save(tensors, metadata={"format": "pt"}), mode=READABLE)
    write_atomic(folder / CONFIG, _json({**values, "torch_dtype": "float32"}), mode=READABLE)
    for name in COPIED:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, folder / name)


def _json(values: Mapping[str, object]) -> bytes:
    return f"{json.dumps(values, indent=2)}\n".encode()
