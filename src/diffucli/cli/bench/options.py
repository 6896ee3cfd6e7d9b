"""Flags that several subcommands of `diffu bench` share, and the values they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.options import Preset
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.decode.policy import Policy


class Against(StrEnum):
    """Yardsticks that presets are compared with."""

    reference = "reference"
    dual_cache = "dual-cache"


LENGTH_HELP = "Most tokens of an answer. (default: 256)"
LONG_HELP = "Request whole programs, which have long answers."
PLOT_HELP = "Draw the table as a chart; needs matplotlib."
Presets = Annotated[
    list[Preset] | None, typer.Option("--preset", help="Measure this preset; repeatable. (default: all presets)")
]
Yardsticks = Annotated[
    list[Against] | None,
    typer.Option(
        "--against", help="Also measure the published loop (reference) or Fast-dLLM's recipe (dual-cache); repeatable."
    ),
]
Rounds = Annotated[int, typer.Option("-n", "--rounds", metavar="N", min=1, help="Measure everything this often.")]
Length = Annotated[int | None, typer.Option("--length", metavar="N", min=1, help=LENGTH_HELP)]
Plot = Annotated[Path | None, flag.output("--plot", metavar="FILE.svg", parser=flag.file, help=PLOT_HELP)]
Long = Annotated[bool, typer.Option("--long", metavar=flag.FLAG, help=LONG_HELP)]


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is measured."""

    model: flag.Model = None
    quant: flag.Quantise = "auto"
    device: flag.Device = "auto"


def policies(presets: Sequence[Preset] | None) -> dict[str, Policy]:
    """The policies of `presets`, or of all presets, by name."""
    from diffucli.decode.policy import PRESETS

    if Preset.published in (presets or ()):
        raise UsageError("published is another preset for each model", hint="name the others")
    return {name: PRESETS[name] for name in (each.value for each in presets or Preset) if name in PRESETS}


def names(yardsticks: Sequence[Against] | None) -> list[str]:
    """The names of the yardsticks, each once."""
    return [name.value for name in dict.fromkeys(yardsticks or ())]


def require_picture(path: Path | None) -> None:
    """Raises UsageError if a chart is wanted and cannot be written to `path`."""
    from diffucli.cli.destination import require_target
    from diffucli.lab.chart import require_matplotlib

    if path is None:
        return
    if path.suffix != ".svg":
        raise UsageError(f"--plot draws an SVG, not {path.name}", hint="name a file that ends in .svg")
    require_matplotlib("leave out --plot")
    require_target(path)
