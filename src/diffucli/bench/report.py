"""What a benchmark found: Markdown to read, and plain values for --json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from diffucli.lab.chart import chart
from diffucli.lab.machine import peak_memory, this_machine, versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a benchmark: Markdown without a final newline, and values for --json."""

    text: str
    values: dict[str, object]

    def followed_by(self, other: Findings) -> Findings:
        """Both as one: the texts below each other, and all values."""
        return Findings(f"{self.text}\n\n{other.text}", self.values | other.values)


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A point of a chart of speed. error: standard error of `x`; rate: tokens per second."""

    name: str
    x: float
    rate: float
    error: float = 0.0


def facts(model: str, device: torch.device, *, load_seconds: float | None = None) -> dict[str, object]:
    """What was measured and where: model, date, machine, versions.

    load_seconds: if given, it is included together with the peak memory of this process, in MB.
    """
    known: dict[str, object] = {"model": model, "date": datetime.now().astimezone().date().isoformat()}
    if load_seconds is not None:
        known |= {"load_seconds": load_seconds, "peak_mb": peak_memory() / 1e6}
    return known | asdict(this_machine(device)) | versions()


def pareto_front(points: Sequence[ChartPoint]) -> list[ChartPoint]:
    """The points that no other point dominates, from left to right.

    A point dominates another one if it is at least as good in `x` and in `rate`, and better in one of them.
    """
    front = [
        p for p in points if not any(q.x >= p.x and q.rate >= p.rate and (q.x, q.rate) != (p.x, p.rate) for q in points)
    ]
    return sorted(front, key=lambda point: point.x)


def plot(points: Sequence[ChartPoint], path: Path, *, label: str) -> None:
    """Draws tokens per second over `label` to `path`, with a line along the Pareto front. Needs matplotlib."""
    front, errors = pareto_front(points), [p.error for p in points]
    with chart(path, x=label, y="tokens per second", height=3.6) as axes:
        axes.plot([p.x for p in front], [p.rate for p in front], color="tab:blue", alpha=0.4)
        axes.errorbar([p.x for p in points], [p.rate for p in points], xerr=errors, fmt="o", color="tab:blue")
        for point in points:
            axes.annotate(point.name, (point.x, point.rate), xytext=(6, 6), textcoords="offset points")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
