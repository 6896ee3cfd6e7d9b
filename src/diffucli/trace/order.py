"""The order in which a canvas was written, and how near it is to that of reading: AR-ness (arXiv 2506.20639, A.2).

What counts is the last canvas of a run. Its tokens have the steps that wrote them, on whichever canvas that was.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from itertools import takewhile
from statistics import fmean
from typing import TYPE_CHECKING

from diffucli.events import Finished, Resized, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffucli.events import Happening


@dataclass(eq=False, slots=True)
class Cell:
    """A position of the canvas at the end. step: that wrote its token, from 1; 0: it stood there, or is a mask.

    score: what the commit rule ranked by. confidence: the probability of the token. remasked: how often it became a
    mask again.
    """

    token: int
    step: int = 0
    score: float = 0.0
    confidence: float = 0.0
    remasked: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A denoising step: tokens committed, the mean of their confidence and of their scores."""

    tokens: int
    confidence: float
    score: float


@dataclass(slots=True)
class WriteOrder:
    """A canvas and its steps. shown: the range of it that people see. ends: tokens that end a text or pad it.

    is_closed: whether an end token closed it, so that its masks are no part of the text.
    """

    cells: list[Cell] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    mask: int = -1
    shown: tuple[int, int] = (0, 0)
    ends: frozenset[int] = frozenset()
    is_closed: bool = False

    def written(self, *, with_ends: bool = True) -> list[int]:
        """The positions written, in the order in which they got the token that they have.

        Those of one step come by their scores. with_ends: also those that end the text or pad it.
        """
        chosen = [at for at, cell in enumerate(self.cells) if cell.step and (with_ends or cell.token not in self.ends)]
        return sorted(chosen, key=lambda at: (self.cells[at].step, -self.cells[at].score, at))


@dataclass(frozen=True, slots=True)
class ArNess:
    """Shares of steps. local: continues the run of the last k tokens. overall: took one of the k leftmost masks."""

    local: float
    overall: float


def order_of(events: Iterable[Happening]) -> WriteOrder:
    """The order of the last canvas. Steps of which no token is left are not counted."""
    order = WriteOrder()
    for event in events:
        if isinstance(event, Started):
            cells = _kept(order.cells, [Cell(token) for token in event.tokens], event.mask)
            ends = order.ends | event.ends
            order = WriteOrder(cells, order.steps, event.mask, event.shown or (0, len(event.tokens)), ends)
        else:
            _apply(event, order)
    left = sorted({cell.step for cell in order.cells if cell.step})
    number = {step: index for index, step in enumerate(left, 1)}
    cells = [replace(cell, step=number.get(cell.step, 0)) for cell in order.cells]
    return replace(order, cells=cells, steps=[order.steps[step - 1] for step in left])


def _kept(old: Sequence[Cell], new: list[Cell], mask: int) -> list[Cell]:
    """The cells of another canvas: where it begins and ends as the one before, they are those of the latter."""
    shorter = min(len(old), len(new))

    def alike(one: Iterable[Cell], other: Iterable[Cell], most: int) -> int:
        pairs = zip(range(most), one, other, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[1].token == pair[2].token != mask, pairs))

    first = alike(old, new, shorter)
    last = alike(reversed(old), reversed(new), shorter - first)
    return [*old[:first], *new[first : len(new) - last], *old[len(old) - last :]]


def ar_ness(order: WriteOrder, k: int, *, with_ends: bool = True) -> ArNess | None:
    """Local and global AR-ness of an order at `k`; None where there are not more than k tokens.

    Tokens of one step count as written one after the other, by their scores.
    """
    masks = [at for at, cell in enumerate(order.cells) if cell.step or cell.token == order.mask] if with_ends else None
    return ar_ness_of(order.written(with_ends=with_ends), k, masks)


def ar_ness_of(sequence: Sequence[int], k: int, masks: Sequence[int] | None = None) -> ArNess | None:
    """Local and global AR-ness at `k` of positions in the order in which they were written; the first k are skipped.

    masks: where masks stood at first; None: where something was written. None where there are not more than k.
    """
    if len(sequence) <= k:
        return None
    left = sorted(sequence if masks is None else masks)
    local = overall = 0
    for index, at in enumerate(sequence):
        if index >= k:
            local += set(sequence[index - k : index]) == set(range(at - k, at))
            overall += at in left[:k]
        del left[bisect_left(left, at)]
    counted = len(sequence) - k
    return ArNess(local / counted, overall / counted)


def kendall(one: Sequence[int], other: Sequence[int]) -> float:
    """Kendall's τ of two orders of positions, by those that both have; 1: the same, -1: the reverse. NaN: under two."""
    rank = {at: index for index, at in enumerate(other)}
    common = [rank[at] for at in one if at in rank]
    pairs = len(common) * (len(common) - 1) // 2
    if not pairs:
        return math.nan
    ahead = sum(later > earlier for i, earlier in enumerate(common) for later in common[i + 1 :])
    return 2 * ahead / pairs - 1


def _apply(event: Happening, order: WriteOrder) -> None:
    cells = order.cells
    match event:
        case Stepped():
            for at in event.remasked:
                cells[at] = Cell(order.mask, remasked=cells[at].remasked + 1)
            sure = [math.exp(min(value, 0.0)) for value in event.logprobs] or [0.0] * len(event.tokens)
            scores = event.scores or sure
            if event.tokens:
                order.steps.append(Step(len(event.tokens), fmean(sure), fmean(scores)))
            for at, token, score, confidence in zip(event.positions, event.tokens, scores, sure, strict=True):
                cells[at] = Cell(token, len(order.steps), score, confidence, cells[at].remasked)
        case Resized(position, delta):
            cells[position : position - min(delta, 0)] = [Cell(order.mask) for _ in range(delta)]
            start, stop = order.shown
            order.shown = (start if position >= start else max(start + delta, 0), max(stop + delta, 0))
        case Finished(_, reason):
            order.is_closed = reason == "end"
        case Started():
            pass
