"""Draws docs/live.svg, a run of `diffu fill` as the live view shows it: python docs/scripts/live.py [FILE].

FILE: Python code with holes; without one, FUNCTION.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.decode.loop import alone
from diffucli.edit import source
from diffucli.events import Finished, Stepped
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.fill import fill
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.tasks.options import DecodingOptions
from diffucli.trace.export import svg
from diffucli.trace.form import TraceJob
from diffucli.trace.player import Player
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.events import Event

NAME = "palindrome.py"
FUNCTION = '''def is_palindrome(text):
    """Whether a text reads the same backwards, case and punctuation aside."""
    letters = [???]
    return letters == letters[::-1]
'''
OPTIONS = DecodingOptions(preset="exact", seed=0)
SECONDS = 0.2  # of each step; the picture tells nothing of this machine's speed
COMMAND = "diffu fill {} --preset exact"
TARGET = Path(__file__).parents[1] / "live.svg"


def main(argv: Sequence[str] = (), *, target: Path = TARGET) -> str:
    """Draws all steps of `COMMAND`; the new text."""
    path = Path(*argv) if argv else None
    name, code = (path.name, path.read_bytes()) if path else (NAME, FUNCTION.encode())
    checkpoint = load(registry.find("mini").folder)
    (job,) = jobs_of([(source.from_bytes(code), Path(name))], Wanted(language="python"))
    player = Player(checkpoint.tokenizer.piece)
    player.add(TraceJob("python", name))
    with closing(alone(checkpoint.network, fill(checkpoint, job, OPTIONS.policy()))) as events:
        filled = pull(events, lambda event: player.add(_timeless(event)))
    player.times = [SECONDS * step for step in range(player.last + 1)]
    target.write_text(svg(player, width=84, title=COMMAND.format(name)), encoding="utf-8")
    return filled.result.text


def _timeless(event: Event) -> Event:
    """`event` without the time that it took."""
    return replace(event, seconds=0.0) if isinstance(event, Stepped | Finished) else event


if __name__ == "__main__":
    main(sys.argv[1:])
