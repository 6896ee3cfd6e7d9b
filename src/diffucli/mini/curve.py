"""The picture of a training's loss."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from diffucli.chart import chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffucli.mini.journal import Point

LABELS = {"causal": "next token", "diffusion": "masked diffusion", "polish": "masked diffusion, more tasks"}


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws the loss over the tokens seen to `path`, a colour a stage. Needs matplotlib."""
    with chart(path, x="million tokens seen", y="loss, nats a token", height=3.2) as axes:
        axes.set_yscale("log")
        colours: dict[str, str] = {}
        for stage, line in groupby(points, key=lambda point: point.stage):
            seen, known = list(line), stage in colours
            colour = colours.setdefault(stage, f"C{len(colours)}")
            label = "_" if known else LABELS.get(stage, stage)  # a legend leaves out what begins so
            axes.plot([p.tokens / 1e6 for p in seen], [p.loss for p in seen], color=colour, label=label)
        axes.set_yticks([0.2, 0.5, 1, 2, 5], labels=["0.2", "0.5", "1", "2", "5"])
        axes.minorticks_off()
        axes.legend(frameon=False, loc="upper right")
