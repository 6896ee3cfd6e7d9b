"""Draws docs/live.svg, the live view of a run of mini half-way: python docs/scripts/live.py [REQUEST]."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from diffucli.decode.commit import TopK, linear
from diffucli.decode.policy import PRESETS
from diffucli.events import Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.engine import Engine
from diffucli.ui import Frame, View, picture

REQUEST = "write a quicksort"


def main(request: str) -> None:
    """Draws the first step at which half of the canvas is written; the run commits by confidence, without blocks."""
    entry = registry.find("mini")
    checkpoint = load(entry.folder)
    policy = replace(PRESETS["balanced"], commit=TopK(linear), block=None, cache="none", steps=24)
    run = Engine(checkpoint, policy).generate(request, length=96)
    frame = Frame(checkpoint.tokenizer.piece, View("python", entry.name))
    for event in run.events:
        frame.take(event)
        if isinstance(event, Stepped) and event.masks_left <= 96 // 2:
            break
    target = Path(__file__).parents[1] / "live.svg"
    target.write_text(picture(frame, width=84, title=f'diffu gen "{request}"'), encoding="utf-8")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or REQUEST)
