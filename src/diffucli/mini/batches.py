"""Batches of training rows, and a count of the data seen.

Does not know networks, nor which tokens are masked.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffucli.train.objective import Batch, collate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.mini.rows import RowSampler, TrainingRow


@dataclass(slots=True)
class SeenData:
    """Counts of the data that training has seen.

    steps: number of batches. tokens: all tokens, padding inside holes included. rows: number of rows by kind.
    programs: hashes of the distinct programs of compositions.
    """

    steps: int = 0
    tokens: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    programs: set[int] = field(default_factory=set)

    def add(self, rows: Sequence[TrainingRow]) -> None:
        """Counts one more batch."""
        self.steps += 1
        self.tokens += sum(len(row.tokens) for row in rows)
        self.rows.update(row.kind for row in rows)
        self.programs.update(hash(row.code) for row in rows if row.kind.startswith("composition"))


def batches(sampler: RowSampler, *, tokens: int, seed: int) -> Iterator[list[TrainingRow]]:
    """An endless stream of batches of rows of similar length, each of about `tokens` tokens."""
    rng = random.Random(seed)
    while True:
        pool = [row for row in (sampler.draw(rng) for _ in range(tokens // 16)) if row is not None]
        groups = list(_grouped(sorted(pool, key=lambda row: len(row.tokens)), tokens))
        rng.shuffle(groups)
        yield from groups


def batch_of(rows: Sequence[TrainingRow], *, pad: int) -> Batch:
    """The rows as tensors."""
    return collate([(row.tokens, row.holes, row.answers) for row in rows], pad=pad)


def _grouped(rows: Sequence[TrainingRow], budget: int) -> Iterator[list[TrainingRow]]:
    group: list[TrainingRow] = []
    for row in rows:
        if group and (len(group) + 1) * len(row.tokens) > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
