"""The state of a training in its folder: weights, optimiser and position, as safetensors and JSON; written whole.

All random draws depend on the seed and the position alone, so a training that is resumed does what it would have done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from diffucli import files
from diffucli.errors import UsageError
from diffucli.model.checkpoint import CONFIG, shards
from diffucli.train.loop import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from diffucli.train.loop import Trainer

SCHEMA, ABOUT, TENSORS = "diffu.training-state/1", "state.json", "state.safetensors"
STATE, BEFORE, HALF_MADE = "state", "state.before", "state.part"
MOMENTS = ("exp_avg", "exp_avg_sq")
SAMPLES, SAMPLE_BYTES = 8, 65_536  # of each shard, for the fingerprint


def save(trainer: Trainer, folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes the state to `folder`, where it takes the place of the one before."""
    made, state, before = folder / HALF_MADE, folder / STATE, folder / BEFORE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    save_file(dict(_tensors(trainer)), made / TENSORS)
    about = {"schema": SCHEMA, "position": asdict(trainer.position), "settings": dict(settings)}
    (made / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if state.exists():
        shutil.rmtree(before, ignore_errors=True)
        state.rename(before)
    made.rename(state)
    shutil.rmtree(before, ignore_errors=True)


def exists(folder: Path) -> bool:
    """Whether a training was begun in `folder`."""
    return (folder / STATE).exists() or (folder / BEFORE).exists()


def restore(trainer: Trainer, folder: Path, settings: Mapping[str, Any], free: frozenset[str]) -> None:
    """Gives `trainer` the state in `folder`. UsageError: it is of other settings, except for those that are `free`."""
    place = folder / STATE if (folder / STATE).exists() else folder / BEFORE
    try:
        about = files.read_json(place / ABOUT)
        position, before = Position(**about["position"]), about["settings"]
        stored = load_file(place / TENSORS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as exc:
        raise UsageError(f"{folder} has no state to resume from ({exc})", hint="leave --resume out") from exc
    wanted = json.loads(json.dumps(dict(settings)))
    changed = [key for key in wanted if key not in free and before.get(key) != wanted[key]]
    if changed:
        was = "; ".join(f"{key} was {before.get(key)}, now {wanted[key]}" for key in changed[:3])
        raise UsageError(f"{folder} was trained otherwise ({was})", hint="repeat its options, or name another folder")
    _put(trainer, stored)
    trainer.position = position


def fingerprint(folder: Path) -> str:
    """What tells the weights of one checkpoint from those of another: a hash of their sizes and of samples of them."""
    found = hashlib.sha256((folder / CONFIG).read_bytes())
    for shard in shards(folder):
        size = shard.stat().st_size
        found.update(f"{shard.name} {size}".encode())
        with shard.open("rb") as file:
            for i in range(SAMPLES):
                file.seek(max(size - SAMPLE_BYTES, 0) * i // (SAMPLES - 1))
                found.update(file.read(SAMPLE_BYTES))
    return found.hexdigest()[:16]


def hash_of(path: Path) -> str:
    """A hash of the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _tensors(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trainer.weights.named.items():
        yield f"weight.{name}", parameter.detach().cpu().contiguous()
        moments = trainer.optimizer.state.get(parameter, {})
        for key in (*MOMENTS, "step"):
            if key in moments:
                yield f"{key}.{name}", moments[key].detach().cpu().contiguous()
    for name, value in trainer.weights.reference.items():
        yield f"reference.{name}", value.cpu().contiguous()


@torch.no_grad()
def _put(trainer: Trainer, stored: Mapping[str, Tensor]) -> None:
    for name, parameter in trainer.weights.named.items():
        parameter.copy_(stored[f"weight.{name}"])
        if f"step.{name}" in stored:
            moments = {key: stored[f"{key}.{name}"].to(parameter.device) for key in MOMENTS}
            trainer.optimizer.state[parameter] = {"step": stored[f"step.{name}"], **moments}
    for name, value in trainer.weights.reference.items():
        value.copy_(stored[f"reference.{name}"])
