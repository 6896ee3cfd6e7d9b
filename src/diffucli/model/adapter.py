"""Reads adapters in peft's layout for LoRA: what adapter_config.json says, and whether the weights fit a network.

Reads no weights and imports no torch. What would change the outputs and is not supported is refused by its name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import as_bad_checkpoint, read_object, require_file, tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from diffucli.model.checkpoint import Shape
    from diffucli.model.config import Config
    from diffucli.model.family import Family

    Settings = Mapping[str, Any]

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
BASE = "base_model_name_or_path"
PREFIX = "base_model.model."  # of all tensors in peft's files
ALL_LINEAR = "all-linear"
MATCH_SECONDS = 5.0  # of one pattern and one name; some patterns never end
NAME_AN_ADAPTER = "name a folder or a repository with a LoRA adapter in peft's layout"
WITHOUT = "use an adapter that was made without it"
READ = {
    *("alpha_pattern", "exclude_modules", "layers_pattern", "layers_to_transform", "lora_alpha", "peft_type", "r"),
    *("rank_pattern", "target_modules", "use_rslora"),
}
WITHOUT_EFFECT = {  # on what a trained adapter computes
    *("auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode", "lora_dropout"),
    *("lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision", "runtime_config"),
    *("task_type", "velora_config"),
}
NEUTRAL: Mapping[str, tuple[object, ...]] = {  # values that change nothing, as an empty one does
    "bias": ("none",),
    "init_lora_weights": (True, "gaussian", "orthogonal", "eva"),  # others change the weights of the base
}


@dataclass(frozen=True, slots=True)
class Update:
    """The update of one layer: its rank, what it is multiplied by, and the names of its tensors A and B."""

    rank: int
    scaling: float
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that fits a network. base: what it was trained on, "" if it does not say.

    updates: name of a layer in Qwen2 ("model.layers.0.self_attn.q_proj") → its update. parameters: the numbers in all
    of them.
    """

    folder: Path
    base: str
    updates: Mapping[str, Update]
    parameters: int


def is_adapter(folder: Path) -> bool:
    """Whether `folder` has what says that it holds an adapter."""
    return files.exists(folder / ADAPTER_CONFIG)


def read(folder: Path, config: Config, family: Family) -> Adapter:
    """The adapter in `folder` for a network of `config`. Raises BadCheckpoint if it is damaged or does not fit."""
    settings = read_settings(folder)
    layers = {
        f"model.layers.{i}.{name}": shape for name, shape in config.matrices.items() for i in range(config.num_layers)
    }
    with as_bad_checkpoint(f"{folder / ADAPTER_CONFIG} cannot be used"):
        updates = {layer: update for layer in layers if (update := _update(settings, _published(layer, family)))}
    if not updates:
        targets = settings["target_modules"]
        raise BadCheckpoint(
            f"{folder}: target_modules {targets!r:.80} name no layer of the model", hint=_made_for(settings)
        )
    require_weights(folder)
    sizes = {layer: update.rank * sum(layers[layer]) for layer, update in updates.items()}
    expected: dict[str, Shape] = {}
    for layer, update in updates.items():
        rows, columns = layers[layer]
        expected |= {update.a: (update.rank, columns), update.b: (rows, update.rank)}
    _check_shapes(folder, expected, hint=_made_for(settings))
    return Adapter(folder, base_of(settings), updates, sum(sizes.values()))


def read_settings(folder: Path, *, name: str = "") -> Settings:
    """The object in adapter_config.json. Raises BadCheckpoint if it is no LoRA, or sets what is not supported.

    name: what error messages call the adapter; its path by default.
    """
    name = name or str(folder)
    if not is_adapter(folder):
        raise BadCheckpoint(f"{name} is no adapter: it lacks {ADAPTER_CONFIG}", hint=NAME_AN_ADAPTER)
    settings = read_object(folder / ADAPTER_CONFIG)
    if (kind := settings.get("peft_type")) != "LORA":
        raise BadCheckpoint(f"{name} is an adapter of the type {kind!r:.40}, not LORA", hint=NAME_AN_ADAPTER)
    for key, value in settings.items():
        if key not in READ | WITHOUT_EFFECT and value and value not in NEUTRAL.get(key, ()):
            raise BadCheckpoint(f"{name} sets {key} to {value!r:.60}, which diffu does not support", hint=WITHOUT)
    return settings


def require_weights(folder: Path) -> None:
    """Raises BadCheckpoint if the weights of an adapter are missing, or only there as a pickle."""
    if not files.exists(folder / ADAPTER_WEIGHTS) and files.exists(folder / PICKLE):
        message = f"{folder} holds a pickle ({PICKLE}), which can run code"
        raise BadCheckpoint(message, hint="use the safetensors version")
    require_file(folder / ADAPTER_WEIGHTS)


def base_of(settings: Settings) -> str:
    """The model that an adapter was trained on, "" if it does not say."""
    base = settings.get(BASE)
    return base if isinstance(base, str) else ""


def _made_for(settings: Settings) -> str:
    base = base_of(settings)
    return f"it was made for {base:.100}" if base else "run it with the model that it was made for"


def _published(layer: str, family: Family) -> str:
    return family.tensor_name(f"{layer}.weight").removesuffix(".weight")


def _check_shapes(folder: Path, expected: Mapping[str, Shape], *, hint: str) -> None:
    """Raises BadCheckpoint unless the weights are the expected tensors in their shapes, and no others."""
    found = tensor_shapes(folder / ADAPTER_WEIGHTS)
    for name, shape in expected.items():
        if name not in found:
            raise BadCheckpoint(f"{folder}: the adapter lacks the tensor {name}", hint=hint)
        if found[name] != shape:
            message = (
                f"{folder}: {name} has shape {list(found[name])}, the model and {ADAPTER_CONFIG} ask for {list(shape)}"
            )
            raise BadCheckpoint(message, hint=hint)
    if unknown := sorted(found.keys() - expected.keys()):
        raise BadCheckpoint(f"{folder}: the model has no place for the tensor {unknown[0]}", hint=hint)


# what peft makes of the settings


def _update(settings: Settings, layer: str) -> Update | None:
    """The update of a published layer; None if the layer is no target. Raises ValueError and TypeError."""
    if not _is_target(settings, layer):
        return None
    rank, alpha = (
        _by_pattern(settings, "rank_pattern", "r", layer),
        _by_pattern(settings, "alpha_pattern", "lora_alpha", layer),
    )
    if type(rank) is not int or rank < 1:
        raise ValueError(f"the rank of an update must be a positive number, not {rank!r:.40}")
    if type(alpha) not in {int, float} or not math.isfinite(alpha):
        raise ValueError(f"lora_alpha must be a number, not {alpha!r:.40}")
    scaling = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    a, b = (f"{PREFIX}{layer}.lora_{part}.weight" for part in "AB")
    return Update(rank, scaling, a, b)


def _is_target(settings: Settings, layer: str) -> bool:
    if _is_named(settings, "exclude_modules", layer):
        return False
    targets = settings.get("target_modules")
    if isinstance(targets, str) and targets.lower() == ALL_LINEAR:
        return True
    return _is_named(settings, "target_modules", layer) and (isinstance(targets, str) or _is_in_layers(settings, layer))


def _is_named(settings: Settings, key: str, layer: str) -> bool:
    """Whether a setting names the layer: by a pattern of the whole name, or by a list of last parts of names."""
    value = settings.get(key)
    if isinstance(value, str):
        return bool(value) and _matches(value, layer)
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise ValueError(f"{key} cannot be {value!r:.60}")
    return any(f".{layer}".endswith(f".{name}") for name in value or ())


def _is_in_layers(settings: Settings, layer: str) -> bool:
    """Whether `layers_to_transform` has the layer, whose number stands behind a word of `layers_pattern`."""
    chosen, words = settings.get("layers_to_transform"), settings.get("layers_pattern") or "[^.]*"
    if chosen is None or chosen == []:
        return True
    numbered = re.fullmatch(r"(?P<stem>.*?\.[^.]*)\.(?P<number>[0-9]+)\..*", layer)
    words = [words] if isinstance(words, str) else words
    if numbered is None or not any(_matches(rf"(?:.*\.)?{word}", numbered["stem"]) for word in words):
        return False
    return int(numbered["number"]) in (chosen if isinstance(chosen, list) else [chosen])


def _by_pattern(settings: Settings, patterns: str, default: str, layer: str) -> Any:
    """The value of the first pattern that matches the end of the layer's name, else of `default`."""
    found = settings.get(patterns) or {}
    return next((value for key, value in found.items() if _matches(rf"(.*\.)?({key})", layer)), settings.get(default))


def _matches(pattern: str, name: str) -> bool:
    """Whether the whole `name` matches. Raises ValueError for a pattern that takes too long, or is none."""
    import regex

    try:
        return bool(regex.fullmatch(pattern, name, timeout=MATCH_SECONDS))
    except TimeoutError as exc:
        raise ValueError(f"the pattern {pattern!r:.60} takes too long") from exc
    except regex.error as exc:
        raise ValueError(f"{pattern!r:.60} is no pattern: {exc}") from exc
