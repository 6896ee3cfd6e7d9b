"""`diffu bench shape`: what a step costs in the shape of a large checkpoint, on random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.report import Report

EXAMPLES = flag.examples("diffu bench shape --layers 1", "diffu bench shape --quant nf4 --device cuda")
LEAST_ROUNDS = 3


@grouped
def shape(
    shape: Annotated[
        Literal["7b", "open-dcoder", "llada"], typer.Option("--shape", help="Shape of the network.")
    ] = "7b",
    layers: Annotated[
        int | None, typer.Option("--layers", metavar="N", min=1, help="Number of layers. (default: all of the shape)")
    ] = None,
    quant: flag.Quantise = "auto",
    device: flag.Device = "auto",
    rounds: options.Rounds = LEAST_ROUNDS,
    as_json: flag.Json = False,
) -> None:
    """Measure the parts of a step on random weights; no checkpoint is needed.

    The parts are the whole canvas of 512 tokens with logits for 256, a window of 32 with a KV cache, and sampling.
    """
    from diffucli.bench import shape as shapes
    from diffucli.bench.random_weights import random_network
    from diffucli.model import memory
    from diffucli.model.config import Config
    from diffucli.model.load import find_device

    config, on = Config.from_json(shapes.SHAPES[shape]), find_device(device)
    config = replace(config, num_layers=layers or config.num_layers)
    plan = memory.choose(config, quant=quant, device=str(on))
    network = random_network(config, plan)
    steps = list(shapes.steps(network, rounds=max(rounds, LEAST_ROUNDS)))
    if network.trouble:
        Report(json=as_json).warn(network.trouble)
    output.put("shape", "random weights", on, shapes.findings(steps, config, plan), as_json=as_json)
