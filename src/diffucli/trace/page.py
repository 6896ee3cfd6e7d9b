"""A trace as one page of HTML that needs nothing else: to play, to go through step by step, and to point at.

What the model wrote is data: it reaches the page as text nodes alone, and no `<` of it stands in the script.
"""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from diffucli.events import Finished, Resized, Started, Stepped

if TYPE_CHECKING:
    from diffucli.events import Happening
    from diffucli.trace.file import Trace


def html(trace: Trace, *, candidate: int, title: str) -> str:
    """The page of one candidate."""
    takes = [
        {"file": take.job.file, "events": [_values(event) for event in take.of(candidate)]} for take in trace.takes
    ]
    pieces = {str(token): piece.decode("latin-1") for token, piece in trace.reader.pieces.items()}
    data = json.dumps({"title": title, "pieces": pieces, "takes": takes}, separators=(",", ":"))
    template = resources.files("diffucli").joinpath("trace", "page.html").read_text(encoding="utf-8")
    head, middle, rest = template.split("@@")
    return "".join((head, escape(title), middle, data.replace("<", "\\u003c"), rest))


def _values(event: Happening) -> list[object]:
    """An event as the page's script reads it."""
    match event:
        case Started(tokens, mask, _, shown, ends):
            return ["started", tokens, mask, shown or (0, len(tokens)), sorted(ends)]
        case Stepped():
            logprobs = [round(value, 4) for value in event.logprobs]
            return ["stepped", event.positions, event.tokens, logprobs, event.remasked, round(event.seconds, 3)]
        case Resized(position, delta):
            return ["resized", position, delta]
        case Finished():
            return ["finished", event.reason]
