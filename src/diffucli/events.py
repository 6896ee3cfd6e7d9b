"""What a decoding run tells the world: frozen plain values, one after the other.

Knows nothing of tensors, tokenizers or terminals. A run is `Started`, any number of `Stepped`, `Finished`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Reason = Literal["complete", "end", "budget"]


@dataclass(frozen=True, slots=True)
class Started:
    """The first canvas.

    tokens: every token id of the canvas, masks included. mask: the id of the mask token.
    holes: half-open (start, stop) ranges of positions that may be written.
    """

    tokens: tuple[int, ...]
    mask: int
    holes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One denoising step, which cost one forward as a rule.

    positions, tokens, scores: what was committed, position by position (may be empty); a score is what the order ranked
    by. window: the half-open range written in. masks_left: masks still to be written in the holes. nfe: forwards
    spent so far, fewer than steps where guesses were right, more where rows were halved. seconds: since the run began.
    """

    step: int
    positions: tuple[int, ...]
    tokens: tuple[int, ...]
    scores: tuple[float, ...]
    window: tuple[int, int]
    masks_left: int
    nfe: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The last canvas.

    reason: "complete" (no mask left), "end" (an end token closed a hole; masks that follow it there stay) or "budget"
    (steps used up). nfe: forwards spent. seconds: wall time of the run.
    """

    tokens: tuple[int, ...]
    reason: Reason
    nfe: int
    seconds: float


Event = Started | Stepped | Finished


def fold(events: Iterable[Event]) -> tuple[int, ...]:
    """The canvas after `events`: the first one with every commit laid over it."""
    canvas: list[int] = []
    for event in events:
        match event:
            case Started():
                canvas = list(event.tokens)
            case Stepped():
                for position, token in zip(event.positions, event.tokens, strict=True):
                    canvas[position] = token
            case Finished():
                pass
    return tuple(canvas)
