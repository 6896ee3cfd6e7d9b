"""How much memory a checkpoint needs and how much is free, worked out before anything is loaded.

Everything follows from the config. Imports no torch except to ask a device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.errors import NoRoom
from diffucli.model.checkpoint import BLOCK_SIZE, NESTED_BLOCK_SIZE, NF4
from diffucli.model.config import FUSED
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.model.config import Config, Quant, Quantization

CANVAS = 1024  # tokens that a plan is made for by default
ROWS = 256  # positions whose logits are computed at a time: what the `exact` preset asks for by default
LOGITS_COPIES = 3  # the logits themselves, filtered, and as probabilities
CUDA_BYTES = int(0.3e9)  # what a GPU's libraries take for themselves
CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 2**60
HALVED = 10**8  # parameters from which on weights are in bfloat16 on a CPU that multiplies in it


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes that a checkpoint needs on `device`, and how many are `free` there.

    weights: the network. cache: keys and values of the canvas. logits: of the rows computed at a time, float32.
    work: activations and what libraries take. offloaded: the number of layers that stay in main memory. adapter: the
    updates beside the network. width: bytes of a number in the type that it computes in.
    """

    device: str
    quant: Quantization
    weights: int
    cache: int
    logits: int
    work: int
    free: int
    offloaded: int = 0
    adapter: int = 0
    width: int = 4

    @property
    def total(self) -> int:
        """Bytes needed at the peak."""
        return self.weights + self.adapter + self.cache + self.logits + self.work

    @property
    def fits(self) -> bool:
        """Whether the device has enough memory."""
        return self.total <= self.free


def plan(config: Config, *, quant: Quantization, device: str, canvas: int = CANVAS, adapter: int = 0) -> Plan:
    """The plan of a network of `config` whose layers are held in `quant`, for `canvas` tokens, prompt and answer.

    device: "cpu", "cuda", "cuda:1", "mps"; its free memory is read now. adapter: the numbers in an adapter beside it.
    """
    hidden, intermediate = config.hidden_size, config.intermediate_size
    size = width(device, quant, parameters=config.parameters)
    work = canvas * (4 * hidden + 3 * intermediate) * 4
    if quant == NF4:
        weights = packed_bytes(config, width=size) + fused_scale_bytes(config)
        work += 2 * intermediate * hidden * size  # the largest layer is unpacked whole for long canvases
    else:
        weights = config.parameters * size
    return Plan(
        device=device,
        quant=quant,
        weights=weights,
        cache=config.kv_cache_bytes(canvas, width=size),
        logits=LOGITS_COPIES * min(ROWS, canvas) * config.vocab_size * 4,
        work=work + (CUDA_BYTES if device.startswith("cuda") else 0),
        free=free_memory(device),
        adapter=adapter * size,
        width=size,
    )


def width(device: str, quant: Quantization, *, parameters: int = 0) -> int:
    """Bytes of a number in the type that `device` computes in: 2 is bfloat16, 4 float32.

    bfloat16 is taken on a GPU. On a CPU with instructions for it, it is taken for four bits, and for networks of HALVED
    parameters or more, which it halves in time and in memory (docs/benchmarks.md). parameters: of the network.
    """
    if device.startswith("cuda"):
        return 2
    if device != "cpu":
        return 4
    if quant == NF4 and has_bitsandbytes():
        from diffucli.model.nf4 import has_fast_products

        return 2 if has_fast_products() else 4
    return 2 if parameters >= HALVED and multiplies_bfloat16() else 4


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products in bfloat16; without them they take five times as long."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 — torch has no public name for it


def has_bitsandbytes() -> bool:
    """Whether bitsandbytes is installed; it has no wheel for some systems."""
    return find_spec("bitsandbytes") is not None


def packed_bytes(config: Config, *, width: int) -> int:
    """Bytes in a file of a network whose layers are in NF4 (4.127 bits a number) and the rest in `width` bytes."""
    packed = config.num_layers * sum(map(prod, config.packable.values()))
    scales = packed // BLOCK_SIZE + packed * 4 // (BLOCK_SIZE * NESTED_BLOCK_SIZE)
    return packed // 2 + scales + (config.parameters - packed) * width


def fused_scale_bytes(config: Config) -> int:
    """Bytes that the scales of a loaded network take beyond those in its file.

    The scales of fused layers are unpacked: four bytes for a block of 64 numbers instead of one.
    """
    names = tuple(chain(*FUSED.values()))
    fused = sum(prod(shape) for name, shape in config.packable.items() if name.endswith(names))
    return config.num_layers * fused * 3 // BLOCK_SIZE


def choose(config: Config, *, quant: Quant, device: str, adapter: int = 0) -> Plan:
    """How to hold a checkpoint on `device`: in `quant` or, for "auto", in the fastest form that fits.

    adapter: the numbers in an adapter beside it.

    On a GPU "auto" tries bfloat16, then NF4, then bfloat16 with some layers in main memory; on a CPU a large checkpoint
    in four bits stays so. Small ones are never packed. Raises NoRoom, with what would fit, if nothing does.
    """
    plans = [plan(config, quant=form, device=device, adapter=adapter) for form in _forms(config, quant, device)]
    if fitting := next((each for each in plans if each.fits), None):
        return fitting
    if quant == "auto" and len(plans) > 1 and (offloaded := offload(config, plans[0])):
        return offloaded
    remedies = _remedies(config, plans)
    raise refuse(plans[-1], [plan(config, quant=form, device=place, adapter=adapter) for form, place in remedies])


def offload(config: Config, whole: Plan) -> Plan | None:
    """`whole`, which does not fit, with as few layers in main memory as possible; None if that does not fit either.

    Layers in main memory are copied to the device in each forward, so room for one of them is left there.
    """
    layer = sum(map(prod, config.matrices.values())) * whole.width
    room = whole.free - (whole.total - config.num_layers * layer)
    inside = room // layer - 1
    if inside < 1 or whole.weights > free_memory("cpu"):
        return None
    offloaded = config.num_layers - min(inside, config.num_layers - 1)
    return replace(whole, weights=whole.weights - offloaded * layer, offloaded=offloaded)


def refuse(rejected: Plan, others: Sequence[Plan]) -> NoRoom:
    """The error for a plan that does not fit; those of `others` that do are its hint."""
    ways = [f"{_flags(rejected, other)} ({format_bytes(other.total)})" for other in others if other.fits]
    hint = f"try {' or '.join(ways)}" if ways else "close other programs, or use a smaller model (-m mini)"
    needed = format_bytes(rejected.total) + (" in four bits" if rejected.quant == NF4 else "")
    free = f"{format_bytes(rejected.free)} are free on {rejected.device}"
    return NoRoom(f"the model needs {needed}, {free}", hint=hint)


def free_memory(device: str) -> int:
    """Bytes that are free on a device now; on a CPU, that programs can get without swapping."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    return min(int(psutil.virtual_memory().available), _cgroup_left())


def _forms(config: Config, quant: Quant, device: str) -> tuple[Quantization, ...]:
    """The forms to try in turn, the fastest first."""
    if quant != "auto":
        return (quant,)
    if not config.is_large:
        return ("none",)
    if device.startswith("cuda"):
        return ("none", "nf4") if has_bitsandbytes() else ("none",)
    return (config.quantization,) if device == "cpu" else ("none",)


def _remedies(config: Config, tried: Sequence[Plan]) -> list[tuple[Quantization, str]]:
    """The forms and devices that were not tried."""
    device, known = tried[0].device, {(each.quant, each.device) for each in tried}
    forms: tuple[Quantization, ...] = ("nf4", "none") if has_bitsandbytes() and config.is_large else ("none",)
    devices = dict.fromkeys(("cpu",) if device == "mps" else (device, "cpu"))
    return [(form, place) for place in devices for form in forms if (form, place) not in known]


def _flags(rejected: Plan, other: Plan) -> str:
    """The flags that lead from one plan to the other."""
    flags = [f"--device {other.device}"] if other.device != rejected.device else []
    return " ".join([*flags, f"--quant {other.quant}"] if other.quant != rejected.quant else flags)


def _cgroup_left() -> int:
    """Bytes that the limit of our container leaves; UNLIMITED if there is no limit."""
    try:
        limit = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        lines = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return UNLIMITED
    if not limit.isdigit():
        return UNLIMITED
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(int(limit) - used + cached, 0)
