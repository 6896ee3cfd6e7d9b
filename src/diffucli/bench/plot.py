"""The picture of a comparison: how fast against how good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.chart import chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """A row of the table. x: what the picture is about; error: the standard error of x; rate: tokens a second."""

    name: str
    x: float
    rate: float
    error: float = 0.0


def best(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in one way without losing in the other, from left to right (Pareto)."""
    kept = [
        p for p in points if not any(q.x >= p.x and q.rate >= p.rate and (q.x, q.rate) != (p.x, p.rate) for q in points)
    ]
    return sorted(kept, key=lambda point: point.x)


def draw(points: Sequence[Point], path: Path, *, label: str) -> None:
    """Draws tokens per second over `label` to `path`; a line joins the best. Needs matplotlib."""
    edge, errors = best(points), [p.error for p in points]
    with chart(path, x=label, y="tokens per second", height=3.6) as axes:
        axes.plot([p.x for p in edge], [p.rate for p in edge], color="tab:blue", alpha=0.4)
        axes.errorbar([p.x for p in points], [p.rate for p in points], xerr=errors, fmt="o", color="tab:blue")
        for point in points:
            axes.annotate(point.name, (point.x, point.rate), xytext=(6, 6), textcoords="offset points")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
