"""Resizing: tokens that lengthen or shorten their hole when they are committed, as DreamOn's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from diffucli.events import Resized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from diffucli.decode.canvas import Canvas, Span


@dataclass(frozen=True, slots=True)
class Resizing:
    """The tokens and their limits.

    expand: becomes two masks. delete: ids whose position goes away. longest: a canvas of so many tokens does not grow.
    budget: how often a run may expand. bounds: for each hole, the fewest and the most tokens; () for no bounds.
    """

    expand: int
    delete: frozenset[int]
    longest: int
    budget: int
    bounds: tuple[tuple[int, int], ...] = ()


class Resizer:
    """Resizes the holes of `canvas` during a run; without a `resizing` it does nothing."""

    def __init__(self, canvas: Canvas, resizing: Resizing | None) -> None:
        self._canvas, self._resizing, self._expansions = canvas, resizing, 0

    @property
    def room(self) -> int:
        """How many expand tokens may be committed now."""
        if self._resizing is None:
            return 0
        return max(min(self._resizing.longest - len(self._canvas), self._resizing.budget - self._expansions), 0)

    def barred(self) -> Iterator[tuple[Span, tuple[int, ...]]]:
        """Where which of the tokens may not be written now."""
        if (resizing := self._resizing) is None:
            return
        for hole, fewer, more in self._rooms(resizing):
            ids = (*([resizing.expand] if more < 1 else []), *(resizing.delete if fewer < 1 else ()))
            yield hole, ids

    def within_room(self, chosen: Tensor, positions: Tensor, tokens: Tensor) -> Tensor:
        """Of the indexes `chosen` `[k]` into `positions` and `tokens` `[n]`, in order, those that there is room for."""
        if (resizing := self._resizing) is None:
            return chosen
        expands = tokens[chosen] == resizing.expand
        deletes = torch.isin(tokens[chosen], torch.tensor(sorted(resizing.delete), dtype=torch.long))
        keeps = torch.ones(len(chosen), dtype=torch.bool)
        for hole, fewer, more in self._rooms(resizing):
            inside = (positions[chosen] >= hole.start) & (positions[chosen] < hole.stop)
            for resizes, most in ((inside & expands, more), (inside & deletes, fewer)):
                keeps &= ~resizes | (resizes.cumsum(0) <= most)
        return chosen[keeps & (~expands | ((expands & keeps).cumsum(0) <= self.room))]

    def _rooms(self, resizing: Resizing) -> Iterator[tuple[Span, int, int]]:
        """For each hole by how many tokens it may shrink and grow now."""
        bounds = resizing.bounds or ((0, 1 << 30),) * len(self._canvas.holes)
        for hole, (low, high) in zip(self._canvas.holes, bounds, strict=True):
            yield hole, len(hole) - low, min(high - len(hole), self.room)

    def resize(self, positions: Sequence[int], tokens: Sequence[int]) -> Iterator[Resized]:
        """Lengthens and shortens holes where such `tokens` were committed at `positions`, from right to left."""
        if (resizing := self._resizing) is None:
            return
        for position, token in sorted(zip(positions, tokens, strict=True), reverse=True):
            if token == resizing.expand:
                self._expansions += 1
                yield self._insert(position, 2)
                yield self._delete(position + 2)  # the expand token has moved there
            elif token in resizing.delete:
                yield self._delete(position)

    def _insert(self, position: int, count: int) -> Resized:
        self._canvas.insert(position, count)
        return Resized(position, count, self._canvas.spans, self._canvas.masks_left)

    def _delete(self, position: int) -> Resized:
        self._canvas.delete(position)
        return Resized(position, -1, self._canvas.spans, self._canvas.masks_left)
