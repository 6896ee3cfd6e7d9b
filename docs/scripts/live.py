"""Draws docs/live.svg, the live view of a command half-way: python docs/scripts/live.py [REQUEST]."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from diffucli.decode.loop import alone
from diffucli.events import Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.generate import Request, generate
from diffucli.tasks.options import DecodingOptions
from diffucli.ui import Frame, View, picture

REQUEST = "write a quicksort"
OPTIONS = DecodingOptions(preset="exact", steps=24, seed=0)
LENGTH = 96
COMMAND = 'diffu gen "{}" --preset exact --steps 24 --length 96'
TARGET = Path(__file__).parents[1] / "live.svg"


def main(request: str, *, target: Path = TARGET) -> None:
    """Draws the first step of `COMMAND` at which half of the canvas is written."""
    entry = registry.find("mini")
    checkpoint = load(entry.folder)
    frame = Frame(checkpoint.tokenizer.piece, View("python", entry.name))
    with closing(
        alone(checkpoint.network, generate(checkpoint, Request(request, length=LENGTH), OPTIONS.policy()))
    ) as events:
        for event in events:
            frame.take(event)
            if isinstance(event, Stepped) and event.masks_left <= LENGTH // 2:
                break
    target.write_text(picture(frame, width=84, title=COMMAND.format(request)), encoding="utf-8")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or REQUEST)
