"""Traces for others: a recording for asciinema, an animated SVG, plain text. A page is made in `page`.

What the model wrote is shown as the live view shows it, with what would steer a terminal or a browser made visible.
"""

from __future__ import annotations

import json
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING

from diffucli.ui.picture import film
from diffucli.ui.terminal import HIDE, Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.trace.player import Player
    from diffucli.ui.sheet import StyledRow

SHORTEST, LONGEST, STAYS = 0.05, 2.0, 3.0  # seconds of a step, and of the last one
MOST_SHOTS = 60  # of an animated picture
HIGH = 40  # rows of a recording


def cast(player: Player, *, width: int, title: str, speed: float = 1.0) -> str:
    """An asciicast of version 3: a header, then a line for each step, with the seconds since the one before."""
    height = min(max((len(frame.lines(width - 1)) for _, frame in player.frames()), default=1) + 2, HIGH)
    header = {"version": 3, "term": {"cols": width, "rows": height}, "title": title}
    lines = [json.dumps(header), json.dumps([0, "o", HIDE])]
    out = StringIO()
    screen = Screen(out, size=lambda: (width, height))
    waits = [0.0, *seconds_of(player, speed)]
    for wait, (_, frame) in zip(waits, player.frames(), strict=False):
        out.seek(0)
        out.truncate()
        screen.paint(frame)
        lines.append(json.dumps([round(wait, 3), "o", out.getvalue()]))
    return "\n".join([*lines, json.dumps([STAYS, "x", "0"]), ""])


def svg(player: Player, *, width: int, title: str, speed: float = 1.0) -> str:
    """An animated SVG without a script. Of a long run, steps are left out, evenly; never the last one."""
    waits, shots, skipped = seconds_of(player, speed), [], 0.0
    every = max(1, -(-len(waits) // MOST_SHOTS))
    for number, (wait, (_, frame)) in enumerate(zip(waits, player.frames(), strict=True), 1):
        if number % every and number < len(waits):
            skipped += wait
            continue
        shots.append((wait + skipped, frame.lines(width)))
        skipped = 0.0
    return film(shots, width=width, title=title)


def txt(player: Player, *, width: int) -> str:
    """The canvas after each step, as plain text, with its footer."""
    return "\n\n".join("\n".join(_plain(frame.lines(width))) for _, frame in player.frames()) + "\n"


def seconds_of(player: Player, speed: float) -> list[float]:
    """How long each step is shown: until the next one was made, within bounds."""
    waits = [(later - earlier) / speed for earlier, later in pairwise(player.times)]
    return [*(min(max(wait, SHORTEST), LONGEST) for wait in waits), STAYS]


def _plain(lines: list[StyledRow]) -> Iterator[str]:
    for line in lines:
        yield "".join(segment.text for segment in line).rstrip()
