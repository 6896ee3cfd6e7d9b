"""The canvas: tokens with holes, of which it is the only writer.

Knows positions and ids; nothing of scores or text.
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
    """Tokens `[L]` on the network's device, and which of them are still to be written.

    A hole holds masks at first; a token of `ends` committed in a hole closes it: what follows there is no longer asked
    for and stays masked. A position outside the holes never changes.
    """

    def __init__(self, tokens: Tensor, holes: Sequence[Span], *, mask: int, ends: frozenset[int] = frozenset()) -> None:
        self.tokens = tokens.clone()
        self.holes = tuple(sorted(holes, key=lambda hole: hole.start))
        edges = [0, *(edge for hole in self.holes for edge in (hole.start, hole.stop)), len(tokens)]
        assert edges == sorted(edges), "holes lie apart, inside the canvas"
        self.mask, self.ends, self.closed = mask, ends, False
        self._open = torch.zeros(len(tokens), dtype=torch.bool)  # kept on the CPU: asking costs the device no wait
        for hole in self.holes:
            self._open[hole.start : hole.stop] = True
            self.tokens[hole.start : hole.stop] = mask

    def __len__(self) -> int:
        return len(self.tokens)

    def masked(self, window: Span) -> Tensor:
        """Positions `[n]` in `window` that are still to be written, in order, on the CPU."""
        return self._open[window.start : window.stop].nonzero()[:, 0] + window.start

    @property
    def masks_left(self) -> int:
        """How many positions are still to be written."""
        return int(self._open.sum())

    def commit(self, positions: Sequence[int], tokens: Sequence[int]) -> None:
        """Writes `tokens` at `positions`, each of which must be a mask still asked for."""
        if not positions:
            return
        where = torch.tensor(positions)
        assert bool(self._open[where].all()), "only masks in holes are written"
        self.tokens[where.to(self.tokens.device)] = torch.tensor(tokens, device=self.tokens.device)
        self._open[where] = False
        if not self.ends.isdisjoint(tokens):
            self._ask_again()

    def remask(self, positions: Sequence[int]) -> None:
        """Puts committed positions back to masks, in holes only; a hole that loses its end token is open again."""
        assert all(any(position in hole for hole in self.holes) for position in positions), "only holes are remasked"
        self.tokens[torch.tensor(positions, dtype=torch.long, device=self.tokens.device)] = self.mask
        self._ask_again()

    def blocks(self, size: int | None) -> Iterator[Span]:
        """Windows that cover the holes from left to right, each at most `size` long; None: one window for all.

        Holes near each other share a window, since a window costs a full forward.
        """
        block: Span | None = None
        for piece in self._pieces(len(self) if size is None else size):
            if block and (size is None or piece.stop - block.start <= size):
                block = Span(block.start, piece.stop)
                continue
            if block:
                yield block
            block = piece
        if block:
            yield block

    def _pieces(self, size: int) -> Iterator[Span]:
        for hole in self.holes:
            for start in range(hole.start, hole.stop, size):
                yield Span(start, min(start + size, hole.stop))

    def _ask_again(self) -> None:
        """Asks in each hole for the masks before its first end token; rare, as it waits for the device."""
        tokens, self.closed = self.tokens.tolist(), False
        for hole in self.holes:
            end = next((i for i in range(hole.start, hole.stop) if tokens[i] in self.ends), hole.stop)
            self.closed |= end < hole.stop
            asked = [i < end and tokens[i] == self.mask for i in range(hole.start, hole.stop)]
            self._open[hole.start : hole.stop] = torch.tensor(asked)
