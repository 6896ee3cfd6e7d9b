"""What `diffu bench` found, as Markdown tables for people and pages, and as plain values."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from diffucli.bench.growth import SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from diffucli.bench.growth import Growth
    from diffucli.bench.quality import Quality
    from diffucli.bench.shape import Step
    from diffucli.bench.shares import Shares
    from diffucli.bench.speed import Speed
    from diffucli.model.memory import Plan

SPEEDS = ("answers", "tokens", "NFE", "TPF", "ms/step", "tok/s", "median s", "drawing")
FULL = "The answer fills the canvas: end tokens are forbidden."


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured: text to print, and values for --json."""

    text: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """One writer's speed, and how good it is where that was asked."""

    speed: Speed
    quality: Quality | None


def about(model: str, device: torch.device, *, load_seconds: float | None) -> dict[str, object]:
    """What the figures are of: the model, the day, the machine, the versions. Peak: of this process so far, MB."""
    from importlib.metadata import version

    from diffucli.machine import this_machine

    known: dict[str, object] = {"model": model, "date": datetime.now().astimezone().date().isoformat()}
    if load_seconds is not None:
        known |= {"load_seconds": load_seconds, "peak_mb": _peak()}
    versions = {"python": platform.python_version(), "torch": version("torch"), "transformers": version("transformers")}
    return known | asdict(this_machine(device)) | versions


def listed(values: Mapping[str, object]) -> str:
    """Values as a list, a line each."""
    return "\n".join(
        f"- {key.replace('_', ' ')}: {f'{value:.1f}' if isinstance(value, float) else value}"
        for key, value in values.items()
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(
        [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def answers(rows: Sequence[Row], *, yardsticks: Sequence[str], split: Sequence[Shares], full: bool) -> Found:
    """A row a writer: speed, multiples of each of `yardsticks`, quality; and where the time went."""
    held = {row.speed.name: row.speed for row in rows if row.speed.name in yardsticks}
    header = ["preset", *(["pass@1", "to the first"] if rows[0].quality else []), *SPEEDS]
    header += [f"{what} ÷ {name}" for name in held for what in ("tok/s", "NFE")]
    body = table(header, [_cells(row, rows[0], held) for row in rows])
    parts = [f"{FULL}\n\n{body}" if full else body]
    if split:
        names = list(split[0].parts)
        parts.append(table(["preset", *names], [[s.name, *(f"{s.parts[p]:.1%}" for p in names)] for s in split]))
    values = [_values(row, rows[0], held) for row in rows]
    shares = [{"name": each.name, "nfe": each.nfe, "seconds": each.seconds, "shares": each.parts} for each in split]
    return Found("\n\n".join(parts), {"full": full, "presets": values, **({"profile": shares} if split else {})})


def _cells(row: Row, first: Row, held: Mapping[str, Speed]) -> list[str]:
    speed = row.speed
    figures = [
        f"{speed.requests}",
        f"{speed.tokens}",
        f"{speed.nfe}",
        f"{speed.tokens_per_forward:.1f}",
        f"{speed.milliseconds_per_step:.1f}",
        f"{speed.tokens_per_second:.0f}",
        f"{speed.median:.2f}",
        f"{speed.drawn:.1%}",
    ]
    ratios = [speed.over(other) for other in held.values()]
    compared = [cell for ratio in ratios for cell in (_times(ratio.rate), _times(ratio.forwards))]
    return [speed.name, *_judged(row, first), *figures, *compared]


def _judged(row: Row, first: Row) -> list[str]:
    """pass@1 in percent, and the points by which it differs from the first row, each ± one standard error."""
    if row.quality is None or first.quality is None:
        return []
    passed = f"{100 * row.quality.rate:.1f} % ± {100 * row.quality.error:.1f}"
    if row is first:
        return [passed, ""]
    paired = row.quality.over(first.quality)
    difference = f"{100 * paired.difference:+.1f} ± {100 * paired.error:.1f}"
    return [passed, f"{difference} ({paired.won} won, {paired.lost} lost)"]


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}x"


def _values(row: Row, first: Row, held: Mapping[str, Speed]) -> dict[str, object]:
    derived = ("tokens_per_forward", "milliseconds_per_step", "tokens_per_second", "drawn")
    values = {**asdict(row.speed), **{name: getattr(row.speed, name) for name in derived}}
    if held:
        values["against"] = {name: asdict(row.speed.over(other)) for name, other in held.items()}
    if row.quality is not None and first.quality is not None:
        paired = row.quality.over(first.quality)
        to_first = {**asdict(paired), "difference": paired.difference, "error": paired.error}
        quality = {"passed": row.quality.passed, "pass_at_1": row.quality.rate, "error": row.quality.error}
        values["quality"] = {**quality, "to_first": to_first}
    return values


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draws tokens per second against pass@1 where it is known, else against TPF."""
    from diffucli.bench.plot import Point, draw

    points = [
        Point(row.speed.name, 100 * row.quality.rate, row.speed.tokens_per_second, 100 * row.quality.error)
        if row.quality
        else Point(row.speed.name, row.speed.tokens_per_forward, row.speed.tokens_per_second)
        for row in rows
    ]
    draw(points, path, label="pass@1, percent" if rows[0].quality else "tokens per forward")


def fills(grown: Sequence[Growth], room: int) -> Found:
    """A row a preset: seconds and forwards for each size of file, and how the largest compares with the smallest."""
    header = ["preset", *(f"{lines} lines, s" for lines in SIZES), "ratio", *(f"{lines} lines, NFE" for lines in SIZES)]
    rows = [
        [each.name, *(f"{s:.3f}" for s in each.seconds), f"{each.ratio:.2f}x", *map(str, each.nfe)] for each in grown
    ]
    text = f"A region of 5 lines, of whose file the model sees {room} tokens.\n\n{table(header, rows)}"
    return Found(text, {"context": room, "lines": SIZES, "fill": [{**asdict(g), "ratio": g.ratio} for g in grown]})


def steps(found: Sequence[Step], settings: Mapping[str, object], plan: Plan) -> Found:
    """A row a part of a step, with how fast it went through the weights, which is what bounds a small window."""
    shape = (
        f"{settings['num_hidden_layers']} layers of width {settings['hidden_size']}, "
        f"{settings['vocab_size']:,} rows, {'NF4' if plan.quant == 'nf4' else 'unpacked'}: {plan.weights / 1e9:.1f} GB"
    )
    rows = [
        [
            each.name,
            str(each.tokens),
            str(each.rows),
            f"{1000 * each.seconds:.1f}",
            f"{plan.weights / each.seconds / 1e9:.0f}" if each.tokens else "",
        ]
        for each in found
    ]
    text = f"{shape}\n\n{table(['part', 'tokens', 'logits', 'ms', 'weights, GB/s'], rows)}"
    return Found(text, {"settings": settings, "plan": asdict(plan), "steps": [asdict(each) for each in found]})


def starts(seconds: Mapping[str, float]) -> Found:
    """A row a phase."""
    return Found(table(["phase", "s"], [[name, f"{each:.2f}"] for name, each in seconds.items()]), {"start": seconds})


def _peak() -> float:
    """The process's largest resident size so far, MB; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
