"""Batches of rows for the recipe, and a tally of what they showed.

Knows nothing of networks or of what is masked.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffucli.train.objective import Batch, collate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.mini.rows import Row, Sources


@dataclass(slots=True)
class Tally:
    """What training has seen: tokens (pads in holes included), rows by source, and compositions, each program once."""

    steps: int = 0
    tokens: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    programs: set[int] = field(default_factory=set)

    def add(self, rows: Sequence[Row]) -> None:
        """Counts one more batch."""
        self.steps += 1
        self.tokens += sum(len(row.tokens) for row in rows)
        self.rows.update(row.source for row in rows)
        self.programs.update(hash(row.code) for row in rows if row.source.startswith("composition"))


def batches(sources: Sources, *, tokens: int, seed: int) -> Iterator[list[Row]]:
    """Rows of like length together, about `tokens` tokens at a time, for ever."""
    rng = random.Random(seed)
    while True:
        pool = [row for row in (sources.draw(rng) for _ in range(tokens // 16)) if row is not None]
        groups = list(_grouped(sorted(pool, key=lambda row: len(row.tokens)), tokens))
        rng.shuffle(groups)
        yield from groups


def batch_of(rows: Sequence[Row], *, pad: int) -> Batch:
    """The tensors of `rows`."""
    return collate([(row.tokens, row.holes, row.answers) for row in rows], pad=pad)


def _grouped(rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        if group and (len(group) + 1) * len(row.tokens) > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
