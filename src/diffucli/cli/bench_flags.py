"""The flags of `diffu bench`, and which of them do not go together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.options import Preset, Quant
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffucli.bench.speed import Work
    from diffucli.decode.policy import Policy
    from diffucli.eval.problems import CodeProblem

WRITING, INSTEAD = "Writing answers", "Instead of that"


class Against(StrEnum):
    """What presets are held against."""

    reference = "reference"
    dual_cache = "dual-cache"


class Shape(StrEnum):
    """Whose shape random weights may have."""

    seven = "7b"


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is measured, and how often."""

    model: flag.Model = None
    quant: flag.Quantise = Quant.auto
    device: flag.Device = "auto"
    rounds: Annotated[int, typer.Option("-n", "--rounds", min=1, help="Times each thing is done.")] = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured."""

    preset: Annotated[list[Preset] | None, typer.Option("--preset", help="Which to measure; all if none.")] = None
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A file with a request a line.", rich_help_panel=WRITING)
    ] = None
    length: Annotated[
        int | None, typer.Option("--length", min=1, help="Masks for an answer (256).", rich_help_panel=WRITING)
    ] = None
    long: Annotated[
        bool,
        typer.Option("--long", help="Requests for whole programs, for long answers.", rich_help_panel=WRITING),
    ] = False
    full: Annotated[
        bool,
        typer.Option("--full", help="The answer fills the canvas: end tokens are forbidden.", rich_help_panel=WRITING),
    ] = False
    against: Annotated[
        list[Against] | None,
        typer.Option("--against", help="The published loop, or Fast-dLLM's recipe; or both.", rich_help_panel=WRITING),
    ] = None
    quality: Annotated[
        int | None,
        typer.Option("--quality", min=1, metavar="N", help="pass@1 on N problems, too.", rich_help_panel=WRITING),
    ] = None
    profile: Annotated[
        bool, typer.Option("--profile", help="Where the time of a step goes, too.", rich_help_panel=WRITING)
    ] = False
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg", help="Draw speed against pass@1, or TPF.", rich_help_panel=WRITING),
    ] = None
    fill: Annotated[
        bool,
        typer.Option("--fill", help="Fill a region of a small and of a large file.", rich_help_panel=INSTEAD),
    ] = False
    start: Annotated[
        bool, typer.Option("--start", help="Start the command, in child processes.", rich_help_panel=INSTEAD)
    ] = False
    random: Annotated[
        bool,
        typer.Option("--random", help="Time the parts of a step on random weights.", rich_help_panel=INSTEAD),
    ] = False
    shape: Annotated[
        Shape | None, typer.Option("--shape", help="Of the random weights (7b).", rich_help_panel=INSTEAD)
    ] = None
    layers: Annotated[
        int | None,
        typer.Option("--layers", min=1, help="Of the shape, to try it with less.", rich_help_panel=INSTEAD),
    ] = None

    def require(self, *, model: bool) -> None:
        """UsageError where flags make no sense together, before anything is loaded. model: -m is one of them."""
        writing: dict[str, object] = {
            "--prompts": self.prompts,
            "--length": self.length,
            "--long": self.long,
            "--full": self.full,
            "--against": self.against,
            "--quality": self.quality,
            "--profile": self.profile,
            "--plot": self.plot,
        }
        instead = [name for name in ("--fill", "--start", "--random") if getattr(self, name[2:])]
        if len(instead) > 1:
            raise UsageError(f"{instead[0]} and {instead[1]} are two measurements", hint="give one of them")
        if not self.random:
            _refuse({"--shape": self.shape, "--layers": self.layers}, "a shape is of --random weights", "add --random")
        else:
            others = {**writing, "--preset": self.preset, "-m": model}
            _refuse(others, "--random measures the parts of a step on weights of its own")
        if self.fill:
            _refuse(writing, "--fill measures regions of files, not answers")
        if self.start:
            _refuse({**writing, "--preset": self.preset}, "--start measures the command as it is without flags")
        if self.long and self.prompts:
            raise UsageError("--long and --prompts both say what is requested", hint="give one of them")
        if self.full and self.quality:
            raise UsageError("answers that may not end solve nothing", hint="leave out --full or --quality")
        if len(set(self.against or ())) < len(self.against or ()):
            raise UsageError("--against names the same twice", hint="give each once: reference, dual-cache")
        if self.plot:
            _require_picture(self.plot)

    @property
    def settings(self) -> dict[str, object]:
        """What config.json says of a checkpoint of the shape."""
        from diffucli.bench.shape import SHAPES

        settings = SHAPES[self.shape or Shape.seven]
        return {**settings, "num_hidden_layers": self.layers or settings["num_hidden_layers"]}

    @property
    def policies(self) -> dict[str, Policy]:
        """The presets to measure by their names."""
        from diffucli.decode.policy import PRESETS

        return {name.value: PRESETS[name.value] for name in self.preset or list(Preset)}

    def work(self, rounds: int) -> Work:
        """What every preset writes. UsageError: there is no request."""
        from diffucli.bench.speed import Work

        return Work(self.requests(), rounds=rounds, length=self.length, full=self.full)

    def problems(self) -> list[CodeProblem]:
        """What every preset is to solve. UsageError: more than there are."""
        from diffucli.eval.suites import Suite, long_requests, requests

        kind = long_requests if self.long else requests
        return kind(Suite.mini, self.quality) if self.quality else []

    def requests(self) -> Sequence[str]:
        """What is timed. UsageError: there is no request."""
        from diffucli.bench.speed import REQUESTS
        from diffucli.eval.suites import Suite, long_requests

        if self.long:
            return [problem.request for problem in long_requests(Suite.mini, len(REQUESTS))]
        return _requests(self.prompts) if self.prompts else REQUESTS


def _refuse(flags: Mapping[str, object], why: str, remedy: str = "") -> None:
    given = [name for name, value in flags.items() if value]
    if given:
        raise UsageError(why, hint=remedy or f"leave out {given[0]}")


def _require_picture(path: Path) -> None:
    from diffucli.chart import require_matplotlib
    from diffucli.cli.outcome import require_target

    if path.suffix != ".svg":
        raise UsageError(f"--plot draws an SVG, not {path.name}", hint="name a file that ends in .svg")
    require_matplotlib("leave out --plot")
    require_target(path)


def _requests(path: Path) -> tuple[str, ...]:
    from diffucli.edit import source

    found = tuple(line.strip() for line in source.read(path).text.splitlines() if line.strip())
    if not found:
        raise UsageError(f"{path} holds no request", hint="write one a line")
    return found
