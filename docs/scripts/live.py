"""Draws docs/live.svg, the live view of a run of mini half-way: python docs/scripts/live.py [REQUEST]."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from diffucli.decode.commit import TopK, linear
from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.events import Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.generate import Request, generate
from diffucli.ui import Frame, View, picture

REQUEST = "write a quicksort"
LENGTH = 96
TARGET = Path(__file__).parents[1] / "live.svg"


def main(request: str, *, target: Path = TARGET) -> None:
    """Draws the first step at which half of the canvas is written; the run commits by confidence, without blocks."""
    entry = registry.find("mini")
    checkpoint = load(entry.folder)
    policy = replace(PRESETS["balanced"], commit=TopK(linear), block=None, cache="none", steps=24)
    frame = Frame(checkpoint.tokenizer.piece, View("python", entry.name))
    with closing(alone(checkpoint.network, generate(checkpoint, Request(request, length=LENGTH), policy))) as events:
        for event in events:
            frame.take(event)
            if isinstance(event, Stepped) and event.masks_left <= LENGTH // 2:
                break
    target.write_text(picture(frame, width=84, title=f'diffu gen "{request}"'), encoding="utf-8")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or REQUEST)
