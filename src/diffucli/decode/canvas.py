"""The canvas: tokens with holes that can be written, masked again, lengthened and shortened.

Knows positions and ids; nothing of scores, networks or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Span:
    """Positions start … stop, half-open."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, position: int) -> bool:
        return self.start <= position < self.stop


class Canvas:
    """Tokens `[L]` on the CPU, of which it is the only writer, and the holes among them.

    Holes consist of masks at first, unless they are `written`. A mask is *open* as long as it is to be written: an end
    token (one of `ends`) in a hole closes that hole, so the masks behind it stay masks. A position outside the holes
    never changes its token, only its index when a hole in front of it is resized.

    align: windows end at its multiples, and an end token closes its hole from the next multiple on, as the blocks of
    block-causal attention ask: what stands in a block is written together.
    """

    def __init__(
        self,
        tokens: Sequence[int] | Tensor,
        holes: Sequence[Span],
        *,
        mask: int,
        ends: frozenset[int] = frozenset(),
        written: bool = False,
        align: int = 1,
    ) -> None:
        self.tokens = torch.as_tensor(tokens, dtype=torch.long).cpu().clone()
        self.holes = tuple(sorted(holes, key=lambda hole: (hole.start, hole.stop)))
        edges = [0, *(edge for hole in self.holes for edge in (hole.start, hole.stop)), len(self.tokens)]
        assert edges == sorted(edges), "holes do not overlap and lie inside the canvas"
        self.mask, self.ends, self.align, self.closed = mask, ends, align, False
        self._end_ids = torch.tensor(sorted(ends), dtype=torch.long)
        if not written:
            for hole in self.holes:
                self.tokens[hole.start : hole.stop] = mask
        self._recompute_open()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def masks_left(self) -> int:
        """How many masks are open."""
        return int(self._open.sum())

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The holes as plain pairs, as events have them."""
        return tuple((hole.start, hole.stop) for hole in self.holes)

    def is_open(self, positions: Tensor) -> Tensor:
        """Which of `positions` `[n]` hold open masks, `[n]`."""
        return self._open[positions]

    def open_masks(self, window: Span) -> Tensor:
        """The positions `[n]` of the open masks in `window`, in order."""
        return self._open[window.start : window.stop].nonzero()[:, 0] + window.start

    def writable(self, window: Span) -> Tensor:
        """The positions `[n]` of the holes in `window`, written or not, in order."""
        return self._inside[window.start : window.stop].nonzero()[:, 0] + window.start

    def commit(self, positions: Sequence[int], tokens: Sequence[int]) -> None:
        """Writes `tokens` at `positions`, each of which must be an open mask."""
        if not positions:
            return
        where = torch.tensor(positions)
        assert bool(self._open[where].all()), "only open masks are written"
        written = torch.tensor(tokens)
        self.tokens[where], self._open[where] = written, written == self.mask
        if not self.ends.isdisjoint(tokens):
            self._recompute_open()

    def remask(self, positions: Sequence[int]) -> None:
        """Turns written positions of holes back into masks; a hole that loses its end token is open again."""
        if not positions:
            return
        where = torch.tensor(positions)
        assert bool(self._inside[where].all()), "only holes are masked again"
        self.tokens[where] = self.mask
        self._recompute_open()

    def insert(self, position: int, count: int = 1) -> None:
        """Puts `count` masks in front of `position`, into the hole that holds it or else the one that ends there."""
        assert count > 0
        self._resize(self._hole_at(position, position), count)
        self.tokens = torch.cat(
            [self.tokens[:position], torch.full((count,), self.mask), self.tokens[position:]],
        )
        self._recompute_open()

    def delete(self, position: int, count: int = 1) -> None:
        """Takes `count` positions of one hole away, from `position` on."""
        assert count > 0
        self._resize(self._hole_at(position, position + count), -count)
        self.tokens = torch.cat([self.tokens[:position], self.tokens[position + count :]])
        self._recompute_open()

    def window(self, size: int | None) -> Span | None:
        """The first of the `blocks` of that size with an open mask; None where nothing is left to be written."""
        return next((block for block in self.blocks(size) if bool(self._open[block.start : block.stop].any())), None)

    def blocks(self, size: int | None) -> Iterator[Span]:
        """Windows that cover the holes from left to right, each at most `size` long; None: one window for all.

        Holes near each other share a window, since a window costs a full forward.
        """
        block: Span | None = None
        for piece in self._pieces(len(self) if size is None else size):
            if block and (size is None or piece.stop <= self._edge(block.start, size)):
                block = Span(block.start, piece.stop)
                continue
            if block:
                yield block
            block = piece
        if block:
            yield block

    def _pieces(self, size: int) -> Iterator[Span]:
        for hole in self.holes:
            start = hole.start
            while start < hole.stop:
                stop = min(self._edge(start, size), hole.stop)
                yield Span(start, stop)
                start = stop

    def _edge(self, start: int, size: int) -> int:
        """Where a window of at most `size` from `start` on ends."""
        aligned = (start + size) // self.align * self.align
        return aligned if aligned > start else start + size

    def _hole_at(self, start: int, stop: int) -> int:
        """The index of the hole that holds start … stop, before one that only ends there."""
        found = [i for i, hole in enumerate(self.holes) if hole.start <= start and stop <= hole.stop]
        assert found, "only holes are resized"
        return next((i for i in found if start in self.holes[i]), found[0])

    def _resize(self, index: int, delta: int) -> None:
        """Moves the edges of hole `index` and of all behind it."""
        before, hole, behind = self.holes[:index], self.holes[index], self.holes[index + 1 :]
        moved = (Span(other.start + delta, other.stop + delta) for other in behind)
        self.holes = (*before, Span(hole.start, hole.stop + delta), *moved)

    def _recompute_open(self) -> None:
        """Finds anew which masks are open: in each hole those that its first end token does not close."""
        self._inside = torch.zeros(len(self.tokens), dtype=torch.bool)
        self._open, self.closed = self._inside.clone(), False
        for hole in self.holes:
            self._inside[hole.start : hole.stop] = True
            stop = hole.stop
            ended = torch.isin(self.tokens[hole.start : stop], self._end_ids).nonzero()
            if len(ended):
                first, self.closed = hole.start + int(ended[0]), True
                stop = min((first // self.align + 1) * self.align, stop)
            self._open[hole.start : stop] = self.tokens[hole.start : stop] == self.mask
