"""The picture of a training's loss; the one place that needs matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffucli.train.mini.journal import Point

LABELS = {"causal": "next token", "diffusion": "masked diffusion", "polish": "masked diffusion, more tasks"}


def require_matplotlib() -> None:
    """UsageError where matplotlib is not installed; to be asked before hours of training."""
    if find_spec("matplotlib") is None:
        raise UsageError(
            "the picture of the loss needs matplotlib",
            hint="pip install 'diffucli[train]', or leave it out with --no-picture",
        )


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws the loss over the tokens seen to `path` (.svg or .png), a colour a stage. UsageError: no matplotlib."""
    require_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 — an optional dependency
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "mini", "svg.fonttype": "none", "axes.spines.top": False}):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.add_subplot(xlabel="million tokens seen", ylabel="loss, nats a token", yscale="log")
        colours: dict[str, str] = {}
        for stage, line in groupby(points, key=lambda point: point.stage):
            seen, known = list(line), stage in colours
            colour = colours.setdefault(stage, f"C{len(colours)}")
            label = "_" if known else LABELS.get(stage, stage)  # a legend leaves out what begins so
            axes.plot([p.tokens / 1e6 for p in seen], [p.loss for p in seen], color=colour, label=label)
        axes.set_yticks([0.2, 0.5, 1, 2, 5], labels=["0.2", "0.5", "1", "2", "5"])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False, loc="upper right")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
