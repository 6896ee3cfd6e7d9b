"""What oneDNN's order, torch.compile, int8 and bfloat16 do for mini: docs/scripts/cpu_variants.py [--rounds N].

Prints a Markdown table: what preparing costs, the first forward, the median time of a full forward and of a cached
window, each variant in turn in every round, so that noise falls on all alike; and how many requests are answered right.
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

from diffucli.bench.quality import Quality, verdicts
from diffucli.decode.policy import PRESETS
from diffucli.eval.suites import Suite, requests
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.model.network import Network
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LENGTH, WINDOW = 160, 33  # rows of a canvas with prompt and of a block of 32


@dataclass(slots=True)
class Variant:
    """A network and what its forwards took, in seconds."""

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
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    checkpoint, problems = load(registry.find("mini").folder, device="cpu"), requests(Suite.mini, asked.problems)
    plain = checkpoint.network
    made = {name: prepared(plain, change) for name, change in CHANGES.items()}
    tokens = torch.randint(0, 2000, (LENGTH,), generator=torch.Generator().manual_seed(0))
    for _ in range(asked.rounds):
        for variant in made.values():
            measure(variant, tokens)
    print("| variant | prepare s | first forward s | full, ms | window, ms | pass@1 |\n|---|---|---|---|---|---|")
    for name, each in made.items():
        writer = Engine(replace(checkpoint, network=each.network), PRESETS["balanced"])
        solved = Quality(tuple(verdicts(writer, problems)))
        times = f"{1000 * median(each.full):.1f} | {1000 * median(each.window):.1f}"
        right = f"{100 * solved.rate:.1f} % ± {100 * solved.error:.1f}"
        print(f"| {name} | {each.prepare:.1f} | {each.first:.1f} | {times} | {right} |")


def prepared(plain: Network, change: Callable[[torch.nn.Module], torch.nn.Module]) -> Variant:
    """A copy of the network, changed."""
    copy = deepcopy(plain.model)
    begun = time.perf_counter()
    changed = change(copy)
    return Variant(Network(changed, plain.shift), time.perf_counter() - begun)  # type: ignore[arg-type]


def measure(variant: Variant, tokens: Tensor) -> None:
    """A full forward that fills a cache, and one of a window in it."""
    cache, rows = variant.network.cache(LENGTH), torch.arange(LENGTH - WINDOW, LENGTH)
    begun = time.perf_counter()
    variant.network(tokens, rows, cache=cache)
    half = time.perf_counter()
    variant.network(tokens[-WINDOW:], torch.arange(WINDOW), start=LENGTH - WINDOW, cache=cache)
    end = time.perf_counter()
    if not variant.first:
        variant.first = half - begun
        return
    variant.full.append(half - begun)
    variant.window.append(end - half)


def ordered(model: torch.nn.Module) -> torch.nn.Module:
    """Weights kept once more as oneDNN orders them for products; each new number of rows is compiled for."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            kept = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)  # noqa: SLF001
            layer.forward = partial(_product, kept, layer.bias)  # type: ignore[method-assign]
    return model


def _product(kept: Tensor, bias: Tensor | None, given: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(given, kept, bias, "none", [], "")  # noqa: SLF001


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Every layer by torch.compile, for any shape."""
    for layer in model.model.layers:  # type: ignore[union-attr]
        layer.compile(dynamic=True)
    return model


def in_int8(model: torch.nn.Module) -> torch.nn.Module:
    """The linear layers with weights in int8, activations quantised as they come."""
    return quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)  # type: ignore[no-any-return]


def in_bf16(model: torch.nn.Module) -> torch.nn.Module:
    """Everything in bfloat16, which this CPU may have instructions for."""
    return model.to(torch.bfloat16)


CHANGES: dict[str, Callable[[torch.nn.Module], torch.nn.Module]] = {
    "float32": lambda model: model,
    "float32 in order": ordered,
    "torch.compile": compiled,
    "int8": in_int8,
    "bfloat16": in_bf16,
}

if __name__ == "__main__":
    main()
