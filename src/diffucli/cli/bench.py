"""`diffu bench`: how fast a model writes here."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.options import Preset, Quant
from diffucli.cli.report import Report
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.eval.speed import Speed

COLUMNS = ("preset", "answers", "tokens", "NFE", "TPF", "ms/step", "tok/s", "median s", "drawing")


def bench(
    preset: Annotated[list[Preset] | None, typer.Option("--preset", help="Which to measure; all if none.")] = None,
    prompts: Annotated[Path | None, typer.Option("--prompts", help="A file with a request a line.")] = None,
    rounds: Annotated[int, typer.Option("-n", "--rounds", min=1, help="Times each request is written.")] = 1,
    length: Annotated[int | None, typer.Option("--length", min=1, help="Masks for an answer (256).")] = None,
    model: flag.Model = None,
    quant: flag.Quantise = Quant.auto,
    device: flag.Device = "auto",
    as_json: flag.Json = False,
) -> None:
    """Measure load time, tokens a forward, time a step and memory, preset by preset."""
    from time import perf_counter

    from diffucli.decode.policy import PRESETS
    from diffucli.eval.speed import REQUESTS, measure
    from diffucli.machine import this_machine
    from diffucli.model import registry
    from diffucli.model.load import load

    requests = _requests(prompts) if prompts else REQUESTS
    begun = perf_counter()
    entry = registry.find(model)
    checkpoint = load(entry.folder, device=device, quant=quant.value)
    seconds = perf_counter() - begun
    chosen = {name.value: PRESETS[name.value] for name in preset or list(Preset)}
    speeds = list(measure(checkpoint, chosen, requests, rounds=rounds, length=length))
    about: dict[str, object] = {"model": entry.name, "load_seconds": seconds, "peak_mb": _peak()}
    about |= asdict(this_machine(checkpoint.network.device))
    if as_json:
        Report(json=True).object("diffu.bench/1", 0, **about, presets=[_values(speed) for speed in speeds])
        return
    print(
        "\n".join(f"- {key.replace('_', ' ')}: {f'{v:.1f}' if isinstance(v, float) else v}" for key, v in about.items())
    )
    print(f"\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for speed in speeds:
        print(_row(speed))


def _requests(path: Path) -> tuple[str, ...]:
    from diffucli.edit import source

    found = tuple(line.strip() for line in source.read(path).text.splitlines() if line.strip())
    if not found:
        raise UsageError(f"{path} holds no request", hint="write one a line")
    return found


def _row(speed: Speed) -> str:
    return (
        f"| {speed.name} | {speed.requests} | {speed.tokens} | {speed.nfe} | {speed.tokens_per_forward:.1f} | "
        f"{speed.milliseconds_per_step:.1f} | {speed.tokens_per_second:.0f} | {speed.median:.2f} | {speed.drawn:.1%} |"
    )


def _values(speed: Speed) -> dict[str, object]:
    derived = ("tokens_per_forward", "milliseconds_per_step", "tokens_per_second", "drawn")
    return {**asdict(speed), **{name: getattr(speed, name) for name in derived}}


def _peak() -> float:
    """The process's largest resident size so far, MB; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
