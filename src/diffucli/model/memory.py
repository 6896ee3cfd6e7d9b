"""How much memory a checkpoint needs and how much is free, reckoned before anything is loaded.

Imports no torch but to ask a GPU; the figures follow from config.json alone.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffucli.errors import NoRoom
from diffucli.model.layers import JOINED, is_large, key_width, matrices, packable, parameters
from diffucli.model.packed import is_packed
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kept = Literal["nf4", "none"]
Quant = Literal["auto", "nf4", "none"]
CANVAS = 1024  # tokens, prompt and answer together, that a plan is made for when nobody says
ROWS = 256  # positions written at a time: what the `exact` preset asks for by default
COPIES = 3  # of the logits: as they come, after the rules, as probabilities
SPARE = 0.3e9  # bytes that a GPU's libraries take for themselves
LIMIT = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes that a checkpoint needs on `device`, and how many are `free` there (None: nobody can tell).

    weights: the network. cache: keys and values of the canvas. logits: of the positions written at a time, float32.
    work: activations, and what the libraries take. outside: how many layers stay in main memory.
    """

    device: str
    quant: Kept
    weights: int
    cache: int
    logits: int
    work: int
    free: int | None
    outside: int = 0

    @property
    def total(self) -> int:
        """Bytes needed at the peak."""
        return self.weights + self.cache + self.logits + self.work

    @property
    def fits(self) -> bool:
        """Whether there is room; where nobody can tell what is free, there is."""
        return self.free is None or self.total <= self.free


@dataclass(frozen=True, slots=True)
class Use:
    """What a plan is made for. canvas: tokens in all. rows: positions written at a time. width: bytes of a number."""

    canvas: int = CANVAS
    rows: int = ROWS
    width: int = 2


def plan(settings: Mapping[str, Any], *, quant: Kept, device: str, use: Use | None = None) -> Plan:
    """The plan of the checkpoint that `settings` (config.json) describes, its layers kept in `quant`.

    device: "cpu", "cuda", "cuda:1", "mps"; what is free there is asked now. use: by default what the device computes
    in, for a canvas of 1,024 tokens.
    """
    use = use or Use(width=width(device, quant))
    hidden, inner = int(settings["hidden_size"]), int(settings["intermediate_size"])
    layers, words = int(settings["num_hidden_layers"]), int(settings["vocab_size"])
    work = use.canvas * (4 * hidden + 3 * inner) * max(use.width, 4)
    if quant == "nf4":
        kept = packed_bytes(settings, width=use.width) + scale_bytes(settings)
        work += 2 * inner * hidden * use.width  # the largest layer is unpacked whole where many rows are asked for
    else:
        kept = whole_bytes(settings, width=use.width)
    return Plan(
        device=device,
        quant=quant,
        weights=kept,
        cache=2 * layers * use.canvas * key_width(settings) * use.width,
        logits=COPIES * min(use.rows, use.canvas) * words * 4,
        work=work + (int(SPARE) if device.startswith("cuda") else 0),
        free=free_memory(device),
    )


def width(device: str, quant: Kept) -> int:
    """Bytes of a number in the type a device computes in.

    bf16 on a GPU, float32 elsewhere; but bf16 for four bits on a CPU that multiplies them in bf16.
    """
    if device == "cpu" and quant == "nf4" and four_bits_can():
        from diffucli.model.fourbit import has_fast_products

        return 2 if has_fast_products() else 4
    return 2 if device.startswith("cuda") else 4


def four_bits_can() -> bool:
    """Whether bitsandbytes is installed; there is no wheel of it for some systems."""
    return find_spec("bitsandbytes") is not None


def whole_bytes(settings: Mapping[str, Any], *, width: int) -> int:
    """Bytes of the network with every number `width` bytes wide."""
    return parameters(settings) * width


def packed_bytes(settings: Mapping[str, Any], *, width: int) -> int:
    """Bytes of the network with its layers in NF4 (4.127 bits a number) and the rest `width` bytes wide, in a file."""
    layers = int(settings["num_hidden_layers"])
    packed = layers * sum(map(prod, packable(settings).values()))
    return packed // 2 + packed // 64 + packed // 4096 + (parameters(settings) - packed) * width


def scale_bytes(settings: Mapping[str, Any]) -> int:
    """What scales take more than in a file: those of joined matrices are whole, four bytes for 64 numbers, not one."""
    names = tuple(chain(*JOINED.values()))
    joined = sum(prod(shape) for name, shape in packable(settings).items() if name.endswith(names))
    return int(settings["num_hidden_layers"]) * joined * 3 // 64


def choose(settings: Mapping[str, Any], *, quant: Quant, device: str) -> Plan:
    """How to keep a checkpoint on `device`: what `quant` says or, for "auto", the first that fits of what is quickest.

    On a GPU "auto" tries bf16, then NF4, then bf16 with some layers in main memory; on a CPU a large checkpoint stays
    in four bits if it is so. Small ones are never in four bits. Raises NoRoom with what would fit.
    """
    ways = [plan(settings, quant=kept, device=device) for kept in _ways(settings, quant, device)]
    for way in ways:
        if way.fits:
            return way
    if quant == "auto" and len(ways) > 1 and (split := spread(settings, ways[0])):
        return split
    raise refuse(ways[-1], [plan(settings, quant=kept, device=where) for kept, where in _remedies(settings, ways)])


def _remedies(settings: Mapping[str, Any], tried: Sequence[Plan]) -> list[tuple[Kept, str]]:
    """What else could be asked for where nothing of `tried` fits."""
    device, known = tried[0].device, {(way.quant, way.device) for way in tried}
    kinds: tuple[Kept, ...] = ("nf4", "none") if four_bits_can() and is_large(settings) else ("none",)
    places = dict.fromkeys(("cpu",) if device == "mps" else (device, "cpu"))
    return [(kept, place) for place in places for kept in kinds if (kept, place) not in known]


def _ways(settings: Mapping[str, Any], quant: Quant, device: str) -> tuple[Kept, ...]:
    if quant != "auto":
        return (quant,)
    if not is_large(settings):
        return ("none",)
    if device.startswith("cuda"):
        return ("none", "nf4") if four_bits_can() else ("none",)
    return ("nf4",) if is_packed(settings) and device == "cpu" else ("none",)


def spread(settings: Mapping[str, Any], whole: Plan) -> Plan | None:
    """`whole`, which does not fit, with as many layers in main memory as must be; None where that has no room either.

    Layers outside are brought to the device at each forward, so room for one of them is kept there.
    """
    count = int(settings["num_hidden_layers"])
    layer = sum(map(prod, matrices(settings).values())) * width(whole.device, "none")
    room = (whole.free or 0) - (whole.total - count * layer)
    inside = room // layer - 1
    main = free_memory("cpu")
    if inside < 1 or (main is not None and whole.weights > main):
        return None
    outside = count - min(inside, count - 1)
    return replace(whole, weights=whole.weights - outside * layer, outside=outside)


def refuse(chosen: Plan, others: Sequence[Plan]) -> NoRoom:
    """The refusal of a plan that does not fit, with those of `others` that do as remedies."""
    ways = [f"{_flags(chosen, other)} ({format_bytes(other.total)})" for other in others if other.fits]
    hint = f"try {' or '.join(ways)}" if ways else "close other programs, or use a smaller model (-m mini)"
    free = format_bytes(chosen.free or 0)
    kept = "" if chosen.quant == "none" else " in four bits"
    return NoRoom(f"the model needs {format_bytes(chosen.total)}{kept}, {free} are free on {chosen.device}", hint=hint)


def _flags(chosen: Plan, other: Plan) -> str:
    """What to add to the command line to get from one plan to the other."""
    flags = [f"--device {other.device}"] if other.device != chosen.device else []
    return " ".join([*flags, f"--quant {other.quant}"] if other.quant != chosen.quant else flags)


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device now; None where nobody can tell."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    free = _available()
    return free if free is None else min(free, _limited())


def _available() -> int | None:
    """Bytes of main memory that programs can get without swapping."""
    if sys.platform == "win32":
        return _windows()
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:  # macOS tells the whole, not what is free; half of it is what a program may count on
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError):
        return None


def _limited() -> int:
    """Bytes left to the container we run in, if there is a limit."""
    try:
        most = (LIMIT / "memory.max").read_text(encoding="ascii").strip()
        used = int((LIMIT / "memory.current").read_text(encoding="ascii"))
        told = (LIMIT / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return NO_LIMIT
    if not most.isdigit():
        return NO_LIMIT
    cached = sum(int(line.split()[1]) for line in told if line.startswith("inactive_file "))
    return max(int(most) - used + cached, 0)


def _windows() -> int | None:
    """GlobalMemoryStatusEx's available physical memory."""
    import ctypes

    answer = (ctypes.c_uint64 * 8)()  # dwLength and dwMemoryLoad share the first; total, available, … follow
    ctypes.cast(answer, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(answer)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 — there is none on other systems
    return int(answer[2]) if kernel.GlobalMemoryStatusEx(ctypes.byref(answer)) else None
