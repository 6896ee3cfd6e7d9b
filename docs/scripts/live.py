"""Draws docs/live.svg, a command as the live view shows it, step by step: python docs/scripts/live.py [REQUEST]."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from diffucli.decode.loop import alone
from diffucli.events import Finished, Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.generate import Request, generate
from diffucli.tasks.options import DecodingOptions
from diffucli.trace.export import svg
from diffucli.trace.form import TraceJob
from diffucli.trace.player import Player

REQUEST = "write a quicksort"
OPTIONS = DecodingOptions(preset="exact", steps=24, seed=0)
LENGTH = 96
SECONDS = 0.3  # of each step; the picture tells nothing of this machine's speed
COMMAND = 'diffu gen "{}" --preset exact --steps 24 --length 96'
TARGET = Path(__file__).parents[1] / "live.svg"


def main(request: str, *, target: Path = TARGET) -> None:
    """Draws all steps of `COMMAND`."""
    entry = registry.find("mini")
    checkpoint = load(entry.folder)
    player = Player(checkpoint.tokenizer.piece)
    player.add(TraceJob("python", entry.name))
    with closing(
        alone(checkpoint.network, generate(checkpoint, Request(request, length=LENGTH), OPTIONS.policy()))
    ) as events:
        for event in events:
            player.add(replace(event, seconds=0.0) if isinstance(event, Stepped | Finished) else event)
    player.times = [SECONDS * step for step in range(player.last + 1)]
    target.write_text(svg(player, width=84, title=COMMAND.format(request)), encoding="utf-8")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or REQUEST)
