"""Compares ways to compute mini on a CPU: oneDNN's weight order, torch.compile, int8 and bfloat16.

    python docs/scripts/cpu_variants.py [--rounds N] [--problems N]

Prints a Markdown table: time to prepare, time of the first forward, median time of a full forward and of a window with
a KV cache, and pass@1. The variants take turns in every round, so that other load affects all of them alike.
"""

from __future__ import annotations

import argparse
import time
import warnings
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic

from diffucli.bench.quality import measure as quality
from diffucli.bench.writers import Writer
from diffucli.decode.policy import PRESETS
from diffucli.eval.suites import Suite, requests
from diffucli.lab import markdown
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.model.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LENGTH, WINDOW = 160, 33  # positions of a canvas with its prompt, and of a block of 32


@dataclass(slots=True)
class Variant:
    """A network, and the times of its forwards in seconds."""

    network: Network
    prepare: float
    first: float = 0.0
    full: list[float] = field(default_factory=list)
    window: list[float] = field(default_factory=list)


def main() -> None:
    """Prepares the variants and measures them in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--problems", type=int, default=100)
    flags = parser.parse_args()
    warnings.simplefilter("ignore")
    checkpoint, problems = load(registry.find("mini").folder, device="cpu"), requests(Suite.mini, flags.problems)
    plain = checkpoint.network
    made = {name: prepared(plain, change) for name, change in CHANGES.items()}
    tokens = torch.randint(0, 2000, (LENGTH,), generator=torch.Generator().manual_seed(0))
    for _ in range(flags.rounds + 1):  # the first round gives the time of the first forward
        for variant in made.values():
            measure(variant, tokens)
    writers = {
        name: Writer(replace(checkpoint, network=each.network), PRESETS["balanced"]) for name, each in made.items()
    }
    qualities = quality(writers, problems)
    rows = [row(each, found.rate, found.error) for each, found in zip(made.values(), qualities, strict=True)]
    header = ["variant", "prepare s", "first forward s", "full, ms", "window, ms", "pass@1"]
    print(markdown.table(header, [[name, *cells] for name, cells in zip(made, rows, strict=True)]))


def row(variant: Variant, rate: float, error: float) -> list[str]:
    """The cells of a variant with pass@1 `rate` ± `error`."""
    times = [f"{1000 * median(seconds):.1f}" for seconds in (variant.full, variant.window)]
    return [f"{variant.prepare:.1f}", f"{variant.first:.1f}", *times, f"{100 * rate:.1f} % ± {100 * error:.1f}"]


def prepared(plain: Network, change: Callable[[torch.nn.Module], torch.nn.Module]) -> Variant:
    """A changed copy of the network."""
    copy = deepcopy(plain.model)
    begun = time.perf_counter()
    changed = change(copy)
    return Variant(Network(changed, plain.shift), time.perf_counter() - begun)  # type: ignore[arg-type]


def measure(variant: Variant, tokens: Tensor) -> None:
    """Times a full forward that fills a KV cache, and a forward of a window that uses it."""
    network, canvas, rows, begins = variant.network, tokens[None], torch.arange(LENGTH), LENGTH - WINDOW
    slot = (network.new_cache(1, LENGTH), [0])
    begun = time.perf_counter()
    network(canvas, [rows[begins:]], cache=slot, lengths=[LENGTH])
    half = time.perf_counter()
    network(canvas[:, begins:], [rows[:WINDOW]], starts=[begins], cache=slot, lengths=[LENGTH])
    end = time.perf_counter()
    if not variant.first:
        variant.first = half - begun
        return
    variant.full.append(half - begun)
    variant.window.append(end - half)


def ordered(model: torch.nn.Module) -> torch.nn.Module:
    """Linear layers with a second copy of the weights in oneDNN's order; every new number of rows is compiled."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)  # noqa: SLF001
            layer.forward = partial(_linear, weight, layer.bias)  # type: ignore[method-assign]
    return model


def _linear(weight: Tensor, bias: Tensor | None, inputs: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")  # noqa: SLF001


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Every layer compiled by torch.compile for any shape."""
    for layer in model.model.layers:  # type: ignore[union-attr]
        layer.compile(dynamic=True)
    return model


def in_int8(model: torch.nn.Module) -> torch.nn.Module:
    """Linear layers with int8 weights and dynamically quantized activations."""
    return quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)  # type: ignore[no-any-return]


def in_bf16(model: torch.nn.Module) -> torch.nn.Module:
    """Everything in bfloat16."""
    return model.to(torch.bfloat16)


CHANGES: dict[str, Callable[[torch.nn.Module], torch.nn.Module]] = {
    "float32": lambda model: model,
    "float32 in oneDNN's order": ordered,
    "torch.compile": compiled,
    "int8": in_int8,
    "bfloat16": in_bf16,
}

if __name__ == "__main__":
    main()
