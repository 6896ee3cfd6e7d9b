"""Options that several commands share, each defined once so that it reads the same everywhere.

A dataclass of such fields is a group of options; see `groups`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import complete
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.tasks.options import DecodingOptions


class Preset(StrEnum):
    """Named policies; an enum, since typer takes no list of literals."""

    balanced = "balanced"
    fast = "fast"
    exact = "exact"
    factor = "factor"
    entropy_bound = "entropy-bound"
    p2 = "p2"
    published = "published"


Ends = Literal["free", "late", "never"]
Alg = Literal["confidence", "margin", "entropy", "origin"]
Cache = Literal["none", "prefix", "dual"]
Quant = Literal["auto", "nf4", "none"]
Live = Literal["auto", "always", "never"]
ThemeChoice = Literal["auto", "dark", "light"]
Verify = Literal["error", "warn", "off"]


def number(value: float | None) -> float | None:
    """Refuses NaN, which is within every range."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("it is not a number")
    return value


def _seed(value: int | None) -> int | None:
    """Refuses what torch's generator does not take. A range in the option itself would show in the help."""
    if value is not None and not 0 <= value < 2**63:
        raise typer.BadParameter(f"{value} is not in the range 0<=x<2^63")
    return value


def file(text: str) -> Path:
    """The path of a file that is to be written. UsageError: only a folder has such a name."""
    if text.endswith(("/", os.sep)) or not text:
        raise UsageError(f"{text!r} is no name of a file", hint=f"add one to it, such as {text}answer.py")
    return Path(text)


def unless_stdout(path: Path | None) -> Path | None:
    """The path; `-`, and what leads to stdout, is as without the option."""
    from diffucli.cli import outlets

    is_stdout = path is not None and (path == Path("-") or outlets.standard_of(path) == outlets.OUT)
    return None if is_stdout else path


def examples(*commands: str) -> str:
    """The end of a help text: commands to try."""
    return "\n\n".join(["\nExamples:", *(f"  {command}" for command in commands)]) + "\n"


OUTPUT, MODEL, DECODING = "Output", "Model", "Advanced decoding"
FLAG = ""  # the metavar of an option without a value
output, model, decoding = (partial(typer.Option, rich_help_panel=panel) for panel in (OUTPUT, MODEL, DECODING))

LONGEST_HOLE = 4096  # tokens
MODEL_HELP = "Name of a model, or a checkpoint folder. (default: the one that `diffu model use` chose)"
ADAPTER_HELP = "LoRA adapter of the model: a folder, or what `diffu model pull MODEL --adapter` brought."
QUANT_HELP = "Weights in four bits (nf4), as they are (none), or what fits and is fastest (auto)."
DEVICE_HELP = "auto (a GPU if there is one), cpu, cuda, cuda:1, mps."
STEPS_HELP = "Length of the schedule with --preset exact; otherwise the most denoising steps."
BLOCK_HELP = "Longest window written at a time; 0 is the whole canvas. (default: that of the preset)"
CACHE_HELP = "Keys and values reused within a window: before it, on both sides, or none. (default: that of the preset)"
SPECULATE_HELP = "Guesses evaluated with each forward; the text stays the same, forwards are fewer."
VERIFY_HELP = "Refuse text that does not parse, warn of it, or do not check it."
NO_TOOLS_HELP = "Ask no program of the system, such as bash -n or node, whether text parses."
STRICT_HELP = "Also refuse text that the model was not sure of."
OUTPUT_HELP = "Write to this file instead of stdout; `diffu undo` restores it."
LANG_HELP = "Language of the code. (default: that of the file's name, else python)"
ASK_HELP = "Show each candidate as a diff, and write the one that is accepted; needs -w or -o, and a terminal."
STDIN_HELP = "Name of what comes on stdin: for its language and for messages."
TEMP_HELP = "Sampling temperature; 0 takes the likeliest token. (default: 0)"
ALG_TEMP_HELP = "Temperature of the ranking; needs --preset exact. (default: 0)"
TOP_P_HELP = "Draw from the smallest set of tokens with this probability. (default: 1)"
ENDS_HELP = (
    "End tokens are written as any other (free), after all others (late), or those that pad not at all (never). "
    "(default: that of the preset)"
)
MAX_LENGTH_HELP = "Tokens up to which a hole grows, of models whose holes grow. (default: 64)"
BUDGET_HELP = "How often holes may grow in a run, of models whose holes grow. (default: twice --max-length)"
ALG_HELP = "What ranks the proposals. (default: that of the preset)"

Model = Annotated[
    str | None,
    model("-m", "--model", metavar="NAME", envvar="DIFFU_MODEL", help=MODEL_HELP, autocompletion=complete.models),
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help=MODEL_HELP, envvar="DIFFU_MODEL", show_default=False, autocompletion=complete.models
    ),
]
Adapter = Annotated[str | None, model("--adapter", metavar="NAME", help=ADAPTER_HELP, autocompletion=complete.adapters)]
Quantise = Annotated[Quant, model("--quant", envvar="DIFFU_QUANT", help=QUANT_HELP)]
Device = Annotated[str, model("--device", envvar="DIFFU_DEVICE", metavar="NAME", help=DEVICE_HELP)]

Presets = Annotated[
    Preset, decoding("--preset", envvar="DIFFU_PRESET", help="How the canvas is written; see docs/decoding.md.")
]
Seed = Annotated[
    int | None,
    decoding("--seed", envvar="DIFFU_SEED", metavar="N", callback=_seed, help="Seed of all draws. (default: random)"),
]
Steps = Annotated[int | None, decoding("--steps", envvar="DIFFU_STEPS", metavar="N", min=1, help=STEPS_HELP)]
Temperature = Annotated[
    float | None,
    decoding("--temp", envvar="DIFFU_TEMP", metavar="T", min=0.0, max=10.0, callback=number, help=TEMP_HELP),
]
TopP = Annotated[float | None, decoding("--top-p", envvar="DIFFU_TOP_P", metavar="P", callback=number, help=TOP_P_HELP)]
Order = Annotated[Alg | None, decoding("--alg", envvar="DIFFU_ALG", help=ALG_HELP)]
AlgTemp = Annotated[
    float | None,
    decoding(
        "--alg-temp", envvar="DIFFU_ALG_TEMP", metavar="T", min=0.0, max=1000.0, callback=number, help=ALG_TEMP_HELP
    ),
]
Block = Annotated[int | None, decoding("--block", envvar="DIFFU_BLOCK", metavar="N", min=0, help=BLOCK_HELP)]
ByLine = Annotated[
    bool,
    decoding("--by-line", envvar="DIFFU_BY_LINE", metavar=FLAG, help="Write a line to its end before what follows it."),
]
Reuse = Annotated[Cache | None, decoding("--cache", envvar="DIFFU_CACHE", help=CACHE_HELP)]
Speculate = Annotated[
    int, decoding("--speculate", envvar="DIFFU_SPECULATE", metavar="N", min=0, max=64, help=SPECULATE_HELP)
]

EndTokens = Annotated[Ends | None, decoding("--ends", envvar="DIFFU_ENDS", help=ENDS_HELP)]
MaxLength = Annotated[
    int | None,
    decoding("--max-length", envvar="DIFFU_MAX_LENGTH", metavar="N", min=1, max=LONGEST_HOLE, help=MAX_LENGTH_HELP),
]
ExpandBudget = Annotated[
    int | None,
    decoding("--expand-budget", envvar="DIFFU_EXPAND_BUDGET", metavar="N", min=0, max=10**6, help=BUDGET_HELP),
]

Verification = Annotated[Verify, output("--verify", envvar="DIFFU_VERIFY", help=VERIFY_HELP)]
NoTools = Annotated[bool, output("--no-tools", envvar="DIFFU_NO_TOOLS", metavar=FLAG, help=NO_TOOLS_HELP)]
Strict = Annotated[bool, output("--strict", envvar="DIFFU_STRICT", metavar=FLAG, help=STRICT_HELP)]
Quiet = Annotated[bool, output("-q", "--quiet", metavar=FLAG, help="Print errors only.")]
Verbose = Annotated[bool, output("-v", "--verbose", metavar=FLAG, help="Print notes and figures too.")]
UNCONFINED_HELP = "Run the answers with your own rights, unconfined: they can do all that you can."
Unconfined = Annotated[bool, typer.Option("--unconfined", metavar=FLAG, help=UNCONFINED_HELP)]
Json = Annotated[bool, output("--json", metavar=FLAG, help="Print one JSON object on stdout.")]
LiveView = Annotated[Live, output("--live", envvar="DIFFU_LIVE", help="Show the canvas on stderr while it is written.")]
Fps = Annotated[
    float,
    output(
        "--fps",
        envvar="DIFFU_FPS",
        metavar="N",
        min=1,
        max=60,
        callback=number,
        help="Most frames a second of the live view.",
    ),
]
Slow = Annotated[bool, output("--slow", metavar=FLAG, help="Show each step for a quarter of a second.")]
Jsonl = Annotated[
    bool, output("--jsonl", metavar=FLAG, help="Print each event as a line of JSON, as it happens; see docs/traces.md.")
]
NO_LOG_HELP = "Keep no trace of this run in the log."
NoLog = Annotated[bool, output("--no-log", envvar="DIFFU_NO_LOG", metavar=FLAG, help=NO_LOG_HELP)]
THEME_HELP = "Colours for a dark or a light background; auto asks the terminal."
Themes = Annotated[ThemeChoice, output("--theme", envvar="DIFFU_THEME", help=THEME_HELP)]
Output = Annotated[
    Path | None, output("-o", "--output", metavar="FILE", parser=file, callback=unless_stdout, help=OUTPUT_HELP)
]
Language = Annotated[
    str | None, typer.Option("-l", "--lang", metavar="NAME", help=LANG_HELP, autocompletion=complete.languages)
]
StdinName = Annotated[Path | None, typer.Option("--stdin-filename", metavar="FILE", help=STDIN_HELP)]


@dataclass(frozen=True, slots=True)
class Choice:
    """The model, and how it decodes; None leaves it to the preset."""

    model: Model = None
    adapter: Adapter = None
    quant: Quantise = "auto"
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
    cache: Reuse = None
    speculate: Speculate = 0
    ends: EndTokens = None
    max_length: MaxLength = None
    expand_budget: ExpandBudget = None

    def decoding(self) -> DecodingOptions:
        """The options of decoding as plain values."""
        from diffucli.tasks.options import DecodingOptions

        return DecodingOptions(**{field.name: getattr(self, field.name) for field in fields(DecodingOptions)})


@dataclass(frozen=True, slots=True)
class Showing:
    """How a run is shown, and whether it can be shown again."""

    live: LiveView = "auto"
    fps: Fps = 20.0
    theme: Themes = "auto"
    slow: Slow = False
    jsonl: Jsonl = False
    no_log: NoLog = False
