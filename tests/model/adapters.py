"""Adapters for tests: random updates in peft's layout. conftest.py makes it importable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from diffucli.model.families import DREAM

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.config import Config
    from diffucli.model.family import Family

SETTINGS = {
    "peft_type": "LORA",
    "base_model_name_or_path": "apple/DiffuCoder-7B-Instruct",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj", "up_proj"],
}


def write_adapter(folder: Path, config: Config, family: Family = DREAM, **settings: object) -> Path:
    """A folder with an adapter of random numbers for a network of `config`. settings: as `SETTINGS`, of one rank.

    target_modules: last parts of names in Qwen2, or "all-linear".
    """
    values = SETTINGS | settings
    rank, targets = values["r"], values["target_modules"]
    tensors = {}
    for i in range(config.num_layers):
        for name, (rows, columns) in config.matrices.items():
            if targets == "all-linear" or name.rpartition(".")[2] in targets:
                published = family.tensor_name(f"model.layers.{i}.{name}.weight").removesuffix(".weight")
                stem = f"base_model.model.{published}"
                tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, columns)
                tensors[f"{stem}.lora_B.weight"] = torch.randn(rows, rank) * 0.1
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(values))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
