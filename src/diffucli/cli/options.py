"""Flags that several commands share: one Annotated alias each, so that they read the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Preset(StrEnum):
    """Named policies."""

    exact = "exact"
    balanced = "balanced"
    fast = "fast"


class Alg(StrEnum):
    """What proposals are ranked by."""

    confidence = "confidence"
    margin = "margin"
    entropy = "entropy"
    origin = "origin"


class Quant(StrEnum):
    """Bits of the weights."""

    auto = "auto"
    nf4 = "nf4"
    none = "none"


class Live(StrEnum):
    """When to draw the live view."""

    auto = "auto"
    always = "always"
    never = "never"


class Verify(StrEnum):
    """What happens when the result does not parse."""

    error = "error"
    warn = "warn"
    off = "off"


MODEL, DECODING, SHOWING = "Model", "Decoding", "Output"

Model = Annotated[
    str | None,
    typer.Option(
        "-m", "--model", envvar="DIFFU_MODEL", help="A model's name or checkpoint folder.", rich_help_panel=MODEL
    ),
]
Quantise = Annotated[Quant, typer.Option("--quant", help="Weights in four bits or as they are.", rich_help_panel=MODEL)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=MODEL)]

Presets = Annotated[
    Preset, typer.Option("--preset", help="How the canvas is written; see docs/decoding.md.", rich_help_panel=DECODING)
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of every draw.", rich_help_panel=DECODING)
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="Length of the schedule; for threshold presets the most forwards.",
        rich_help_panel=DECODING,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option("--temp", min=0.0, max=10.0, help="Temperature; 0 takes the likeliest.", rich_help_panel=DECODING),
]
TopP = Annotated[
    float | None, typer.Option("--top-p", help="Mass of the tokens to draw from.", rich_help_panel=DECODING)
]
Order = Annotated[Alg | None, typer.Option("--alg", help="What proposals are ranked by.", rich_help_panel=DECODING)]
AlgTemp = Annotated[
    float | None,
    typer.Option("--alg-temp", min=0.0, help="Temperature of the order; needs a schedule.", rich_help_panel=DECODING),
]
Block = Annotated[
    int | None,
    typer.Option(
        "--block", min=0, help="Longest window written at a time; 0: the whole canvas.", rich_help_panel=DECODING
    ),
]

Verification = Annotated[
    Verify, typer.Option("--verify", help="What a result that does not parse is.", rich_help_panel=SHOWING)
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.", rich_help_panel=SHOWING)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Notes and numbers too.", rich_help_panel=SHOWING)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=SHOWING)]
LiveView = Annotated[Live, typer.Option("--live", help="Show the canvas while it is written.", rich_help_panel=SHOWING)]
Fps = Annotated[float, typer.Option("--fps", min=1, max=60, help="Frames a second at most.", rich_help_panel=SHOWING)]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write to this file instead of stdout.", rich_help_panel=SHOWING)
]
Language = Annotated[
    str | None,
    typer.Option(
        "-l", "--lang", help="Language of the code; by the file's name, else python.", rich_help_panel=SHOWING
    ),
]
