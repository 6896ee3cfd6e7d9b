"""How much memory a training needs, worked out before anything is loaded. docs/training.md has the figures of a 7B.

Everything follows from the config.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from diffucli.errors import NoRoom
from diffucli.model import memory
from diffucli.train.scoring import HEAD_ROWS
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.model.config import Config, Quantization

FLOAT, MOMENTS = 4, 2  # bytes of a trained number, and how many of AdamW's stand beside it
LOGITS_COPIES = 3  # the logits, their exponentials, and their gradient
ROLLOUT_ROWS = 32  # canvases whose keys and values are held at a time, at most


@dataclass(frozen=True, slots=True)
class Load:
    """What is computed at a time. rank: of the adapter; 0: everything is trained. reference: a copy of it is held.

    rows: canvases in a forward with gradients, of `tokens` each. recompute: of a layer, only its input is kept.
    """

    rank: int
    rows: int
    tokens: int
    reference: bool
    recompute: bool


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Bytes. weights: the network. trained: what is trained beside it, its gradients, moments and reference.

    activations: what is kept for gradients. logits: of the rows of the head. rollouts: keys, values and activations.
    """

    weights: int
    trained: int
    activations: int
    logits: int
    rollouts: int

    @property
    def total(self) -> int:
        """Bytes needed at the peak."""
        return sum(getattr(self, field.name) for field in fields(self))

    def lines(self) -> list[str]:
        """Each part in words."""
        return [f"{field.name} {format_bytes(getattr(self, field.name))}" for field in fields(self)]


def plan(config: Config, load: Load, *, quant: Quantization, device: str) -> TrainingPlan:
    """The plan of a training of a network of `config`, whose layers are held in `quant`."""
    width = FLOAT if load.rank == 0 else memory.width(device, quant)
    base = memory.plan(config, quant=quant, device=device, canvas=load.tokens)
    count = adapter_parameters(config, load.rank) if load.rank else config.parameters
    beside = FLOAT * count * (1 + MOMENTS + load.reference + bool(load.rank))
    return TrainingPlan(
        weights=base.weights if load.rank else FLOAT * config.parameters,
        trained=beside,
        activations=activation_bytes(config, load, width=width),
        logits=LOGITS_COPIES * min(HEAD_ROWS, load.rows * load.tokens) * config.vocab_size * FLOAT,
        rollouts=ROLLOUT_ROWS * config.kv_cache_bytes(load.tokens, width=width) + base.work,
    )


def adapter_parameters(config: Config, rank: int) -> int:
    """The numbers of an adapter of `rank` beside all matrices."""
    return config.num_layers * rank * sum(map(sum, config.matrices.values()))


def activation_bytes(config: Config, load: Load, *, width: int) -> int:
    """Bytes that autograd keeps of a forward with gradients.

    A layer keeps of each token six vectors of the hidden size, four of the size of keys, and four of the intermediate
    size. An adapter beside weights in bfloat16 keeps the inputs of its matrices in float32 too.
    """
    hidden, intermediate = config.hidden_size, config.intermediate_size
    inputs = sum(columns for _, columns in config.matrices.values())
    layer = width * (6 * hidden + 4 * config.kv_size + 4 * intermediate) + (width < FLOAT) * FLOAT * inputs
    kept = config.num_layers * width * hidden + layer if load.recompute else config.num_layers * layer
    return load.rows * load.tokens * kept


def require_room(config: Config, load: Load, *, quant: Quantization, device: str) -> TrainingPlan:
    """The plan. NoRoom: the device has less memory free; what would fit is said."""
    wanted, free = plan(config, load, quant=quant, device=device), memory.free_memory(device)
    if wanted.total <= free:
        return wanted
    few = replace(load, rows=max(load.rows // 8, 1))
    others = {
        "--recompute": replace(load, recompute=True),
        "--micro-batch 1": few,
        "--micro-batch 1 --recompute": replace(few, recompute=True),
        "--lora 16 --micro-batch 1 --recompute": replace(few, rank=16, recompute=True),
    }
    fitting = [ways for ways, each in others.items() if plan(config, each, quant=quant, device=device).total <= free]
    needed = f"training needs {format_bytes(wanted.total)} ({', '.join(wanted.lines())})"
    hint = f"try {fitting[0]}" if fitting else "use a smaller model, or a smaller --length"
    raise NoRoom(f"{needed}, {format_bytes(free)} are free on {device}", hint=hint)
