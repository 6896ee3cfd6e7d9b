"""The events of a decoding run: frozen plain values, in the order in which they happen.

Knows nothing of tensors, tokenizers or terminals. A run is `Started`, then `Stepped` and `Resized`, then `Finished`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
Reason = Literal["complete", "end", "budget"]


@dataclass(frozen=True, slots=True)
class Started:
    """The first canvas.

    tokens: every token id of the canvas, masks included. mask: the id of the mask token.
    holes: half-open (start, stop) ranges of positions that may be written.
    shown: the half-open range of the canvas that is text for people; None: all of it.
    ends: ids of tokens that end a text or pad it.
    """

    tokens: tuple[int, ...]
    mask: int
    holes: tuple[tuple[int, int], ...]
    shown: tuple[int, int] | None = None
    ends: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Stepped:
    """One denoising step.

    positions, tokens, scores, logprobs: what was committed, position by position (may be empty). A score is what the
    commit rule ranked by; a log-probability (nats) is the network's own. remasked: positions that are masks again.
    window: the half-open range that was written in. masks_left: masks still to be written in the holes. nfe: forwards
    spent so far; a forward that served several runs is shared out among them, so this may be a fraction. seconds: since
    the run began.
    """

    step: int
    positions: tuple[int, ...]
    tokens: tuple[int, ...]
    scores: tuple[float, ...]
    window: tuple[int, int]
    masks_left: int
    nfe: float
    seconds: float
    remasked: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Resized:
    """A hole grew or shrank; everything behind it moved by `delta`.

    delta > 0: that many masks now stand in front of what was at `position`. delta < 0: that many tokens from `position`
    on are gone. holes: all holes after the change. masks_left: as in `Stepped`.
    """

    position: int
    delta: int
    holes: tuple[tuple[int, int], ...]
    masks_left: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last canvas.

    reason: "complete" (no mask is left), "end" (an end token closed a hole; the masks behind it stay) or "budget" (the
    steps were used up). nfe: forwards spent, as in `Stepped`. seconds: wall time of the run. holes: where they are now.
    """

    tokens: tuple[int, ...]
    reason: Reason
    nfe: float
    seconds: float
    holes: tuple[tuple[int, int], ...] = ()


Happening = Started | Stepped | Resized | Finished


@dataclass(frozen=True, slots=True)
class Beside:
    """An event of candidate `number` (from 1), which is written beside candidate 0; the live view shows the latter."""

    number: int
    event: Happening


Event = Happening | Beside


def fold(events: Iterable[Event]) -> tuple[int, ...]:
    """The canvas after `events`: the first one with every commit, remask and change of length applied in order."""
    return _folded(events, lambda event: (list(event.tokens), event.mask), lambda event: event.tokens)


def logprobs_of(events: Iterable[Event]) -> tuple[float, ...]:
    """The log-probability of every token of the canvas after `events`; 0 for a token that no step has committed."""
    return _folded(events, lambda event: ([0.0] * len(event.tokens), 0.0), lambda event: event.logprobs)


def _folded(
    events: Iterable[Event],
    first: Callable[[Started], tuple[list[T], T]],
    written: Callable[[Stepped], Sequence[T]],
) -> tuple[T, ...]:
    """A value for each position after `events`. first: the values at the start, and that of a mask."""
    canvas: list[T] = []
    masked: list[T] = []
    for event in events:
        match event:
            case Started():
                canvas, blank = first(event)
                masked = [blank]
            case Stepped():
                for position in event.remasked:
                    canvas[position : position + 1] = masked
                for position, value in zip(event.positions, written(event), strict=True):
                    canvas[position] = value
            case Resized(position, delta) if delta > 0:
                canvas[position:position] = masked * delta
            case Resized(position, delta):
                del canvas[position : position - delta]
            case Finished() | Beside():
                pass
    return tuple(canvas)
