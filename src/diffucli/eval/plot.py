"""The picture of a comparison: how fast against how good; it needs matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

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


def require_matplotlib() -> None:
    """UsageError where matplotlib is not installed; to be asked before anything is measured."""
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib", hint="pip install 'diffucli[train]', or leave out --plot")


def best(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in one way without losing in the other, from left to right (Pareto)."""
    kept = [
        p for p in points if not any(q.x >= p.x and q.rate >= p.rate and (q.x, q.rate) != (p.x, p.rate) for q in points)
    ]
    return sorted(kept, key=lambda point: point.x)


def draw(points: Sequence[Point], path: Path, *, label: str) -> None:
    """Draws tokens per second over `label` to `path`, an SVG; a line joins the best. UsageError: no matplotlib."""
    require_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 — an optional dependency
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "axes.spines.top": False}):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot(xlabel=label, ylabel="tokens per second")
        edge = best(points)
        axes.plot([p.x for p in edge], [p.rate for p in edge], color="tab:blue", alpha=0.4)
        errors = [p.error for p in points]
        axes.errorbar([p.x for p in points], [p.rate for p in points], xerr=errors, fmt="o", color="tab:blue")
        for point in points:
            axes.annotate(point.name, (point.x, point.rate), xytext=(6, 6), textcoords="offset points")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})
