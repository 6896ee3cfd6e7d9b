"""Flags that `diffu train grpo` and `diffu train sft` share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag

training = partial(typer.Option, rich_help_panel="Training")
OUTPUT_HELP = "Folder of the training: its log, its state, and the model or adapter."
RATE_HELP = "Learning rate of AdamW at first. (default: see docs/training.md)"
LORA_HELP = (
    "Rank of the adapter that is trained; 0 trains all weights. (default: 16 for a large model, 0 for a small one)"
)
MICRO_HELP = "Rows computed with at a time; less needs less memory. (default: 8, for a large model 1)"
RECOMPUTE_HELP = "Compute activations again instead of keeping them. (default: for a large model)"
PICTURE_HELP = "Draw the curves of the log; needs matplotlib."
SAVE_HELP = "Save after every N updates."
SEED_HELP = "Seed of all draws."
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help=OUTPUT_HELP)]


@dataclass(frozen=True, slots=True)
class Training:
    """The model that is trained, and how. None: by the size of the model."""

    model: flag.Model = None
    quant: flag.Quantise = "auto"
    device: flag.Device = "auto"
    updates: Annotated[int, training("--updates", metavar="N", min=1, help="Updates of the weights.")] = 100
    rate: Annotated[
        float | None, training("--learning-rate", metavar="X", min=0.0, max=1.0, callback=flag.number, help=RATE_HELP)
    ] = None
    lora: Annotated[int | None, training("--lora", metavar="RANK", min=0, max=1024, help=LORA_HELP)] = None
    micro_batch: Annotated[int | None, training("--micro-batch", metavar="N", min=1, help=MICRO_HELP)] = None
    recompute: Annotated[bool | None, training("--recompute/--no-recompute", help=RECOMPUTE_HELP)] = None
    seed: Annotated[int, training("--seed", metavar="N", min=0, max=2**31, help=SEED_HELP)] = 0
    save_every: Annotated[int, training("--save-every", metavar="N", min=1, help=SAVE_HELP)] = 20
    resume: Annotated[
        bool, training("--resume", metavar=flag.FLAG, help="Go on from the state in the folder, with the same options.")
    ] = False
    picture: Annotated[bool, training("--picture/--no-picture", help=PICTURE_HELP)] = True
