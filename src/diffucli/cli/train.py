"""`diffu train`: makes a model; so far the embedded one, from its data to its card."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from diffucli.errors import UsageError


class Size(StrEnum):
    """Shapes of mini."""

    small = "small"
    large = "large"


def train(
    what: Annotated[str, typer.Argument(help="What to train: mini.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint folder to make.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="Wall time of the training itself.")] = 120.0,
    size: Annotated[Size, typer.Option(help="small: 4.7 M parameters; large: for an accelerator.")] = Size.small,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
    card: Annotated[
        Path | None, typer.Option(help="Where the model card goes; beside the weights if not said.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and weights.")] = 0,
) -> None:
    """Train the embedded model: data, vocabulary, training, evaluation and model card in one go."""
    if what != "mini":
        raise UsageError(f"there is no recipe {what!r}", hint="diffu train mini")
