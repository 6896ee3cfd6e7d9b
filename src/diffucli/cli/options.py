"""Flags that several commands share: one Annotated alias or field each, so that they read the same everywhere.

A dataclass of such fields is a group of flags; see `groups`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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


class Cache(StrEnum):
    """Whose keys and values are kept."""

    none = "none"
    prefix = "prefix"
    dual = "dual"


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


def _number(value: float | None) -> float | None:
    """NaN passes every bound that a flag can have."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("it is not a number")
    return value


def _file(path: Path | None) -> Path | None:
    """`-` is stdout, as without the flag."""
    return None if path == Path("-") else path


MODEL, DECODING, SHOWING = "Model", "Decoding", "Output"

Model = Annotated[
    str | None,
    typer.Option(
        "-m", "--model", envvar="DIFFU_MODEL", help="A model's name or checkpoint folder.", rich_help_panel=MODEL
    ),
]
Quantise = Annotated[
    Quant,
    typer.Option(
        "--quant", help="Weights in four bits (nf4), as they are (none), or as it pays.", rich_help_panel=MODEL
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=MODEL)]

Presets = Annotated[Preset, typer.Option("--preset", help="How the canvas is written.", rich_help_panel=DECODING)]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, max=2**63 - 1, help="Seed of every draw; a random one if none.", rich_help_panel=DECODING
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="With exact the length of its schedule, else the most forwards.",
        rich_help_panel=DECODING,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temp",
        min=0.0,
        max=10.0,
        callback=_number,
        help="Temperature; 0 takes the likeliest.",
        rich_help_panel=DECODING,
    ),
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", callback=_number, help="Mass of the tokens to draw from.", rich_help_panel=DECODING),
]
Order = Annotated[Alg | None, typer.Option("--alg", help="What proposals are ranked by.", rich_help_panel=DECODING)]
AlgTemp = Annotated[
    float | None,
    typer.Option(
        "--alg-temp",
        min=0.0,
        max=1000.0,
        callback=_number,
        help="Temperature of the ranking; needs --preset exact.",
        rich_help_panel=DECODING,
    ),
]
Block = Annotated[
    int | None,
    typer.Option(
        "--block", min=0, help="Most tokens written in one window; 0: the whole canvas.", rich_help_panel=DECODING
    ),
]
ByLine = Annotated[
    bool,
    typer.Option(
        "--by-line", help="A block ends early, where a line surely does; not with exact.", rich_help_panel=DECODING
    ),
]
Keep = Annotated[
    Cache | None,
    typer.Option(
        "--cache", help="Keys and values kept within a block: before it, on both sides, none.", rich_help_panel=DECODING
    ),
]
Speculate = Annotated[
    int,
    typer.Option(
        "--speculate",
        min=0,
        max=64,
        help="Guesses checked with each forward: the same text in fewer.",
        rich_help_panel=DECODING,
    ),
]

Verification = Annotated[
    Verify,
    typer.Option(
        "--verify", help="What does not parse is refused, told of, or not looked for.", rich_help_panel=SHOWING
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.", rich_help_panel=SHOWING)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Notes and numbers too.", rich_help_panel=SHOWING)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=SHOWING)]
LiveView = Annotated[Live, typer.Option("--live", help="Show the canvas while it is written.", rich_help_panel=SHOWING)]
Fps = Annotated[
    float,
    typer.Option("--fps", min=1, max=60, callback=_number, help="Frames a second at most.", rich_help_panel=SHOWING),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        callback=_file,
        help="Write to this file, which undo takes back, not to stdout.",
        rich_help_panel=SHOWING,
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        "-l", "--lang", help="Language of the code; by the file's name, else python.", rich_help_panel=SHOWING
    ),
]
StdinName = Annotated[
    Path | None, typer.Option("--stdin-filename", help="The name that stdin has: it tells the language, and is shown.")
]


@dataclass(frozen=True, slots=True)
class Choice:
    """The model and how it decodes; None is what the preset has."""

    model: Model = None
    quant: Quantise = Quant.auto
    device: Device = "auto"
    preset: Presets = Preset.balanced
    seed: Seed = None
    steps: Steps = None
    temperature: Temperature = None
    top_p: TopP = None
    alg: Order = None
    alg_temp: AlgTemp = None
    block: Block = None
    by_line: ByLine = False
    cache: Keep = None
    speculate: Speculate = 0


@dataclass(frozen=True, slots=True)
class Showing:
    """How a run is shown."""

    live: LiveView = Live.auto
    fps: Fps = 20.0
