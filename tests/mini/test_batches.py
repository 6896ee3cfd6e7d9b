"""Batches hold rows of similar length, and what was seen is counted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from diffucli.mini.batches import SeenData, batch_of, batches
from diffucli.mini.rows import PADDING, RowSampler, TrainingRow

if TYPE_CHECKING:
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

TOKENS = 2048


@pytest.fixture(scope="module")
def sampler(tokenizer: Tokenizer, functions: list[Function]) -> RowSampler:
    return RowSampler(tokenizer, functions, PADDING)


@pytest.fixture(scope="module")
def drawn(sampler: RowSampler) -> list[list[TrainingRow]]:
    return list(islice(batches(sampler, tokens=TOKENS, seed=3), 12))


def test_a_batch_takes_no_more_tokens_than_asked_for(drawn: list[list[TrainingRow]]) -> None:
    for rows in drawn:
        assert max(len(row.tokens) for row in rows) * len(rows) <= TOKENS


def test_rows_of_a_batch_have_similar_lengths(drawn: list[list[TrainingRow]]) -> None:
    padded = sum(max(len(row.tokens) for row in rows) * len(rows) for rows in drawn)
    assert sum(len(row.tokens) for rows in drawn for row in rows) > 0.85 * padded


def test_a_seed_draws_the_same_batches(sampler: RowSampler, drawn: list[list[TrainingRow]]) -> None:
    assert next(batches(sampler, tokens=TOKENS, seed=3)) == drawn[0]
    assert next(batches(sampler, tokens=TOKENS, seed=4)) != drawn[0]


def test_tensors_hold_the_rows(drawn: list[list[TrainingRow]], tokenizer: Tokenizer) -> None:
    batch = batch_of(drawn[0], pad=tokenizer.pad)
    for i, row in enumerate(drawn[0]):
        assert batch.tokens[i][batch.valid[i]].tolist() == list(row.tokens)
        assert (batch.tokens[i][~batch.valid[i]] == tokenizer.pad).all()
        inside = [position for hole in row.holes for position in range(hole.start, hole.stop)]
        assert batch.holes[i].nonzero()[:, 0].tolist() == inside
        assert bool(batch.answers[i]) == row.answers


def test_seen_data_counts_rows_tokens_and_distinct_programs(drawn: list[list[TrainingRow]]) -> None:
    seen, every = SeenData(), [row for rows in drawn for row in rows]
    for rows in drawn:
        seen.add(rows)
    assert seen.steps == len(drawn)
    assert seen.tokens == sum(len(row.tokens) for row in every)
    assert sum(seen.rows.values()) == len(every)
    assert seen.rows["task"] == sum(row.kind == "task" for row in every)
    assert len(seen.programs) == len({row.code for row in every if row.kind.startswith("composition")})
    before = len(seen.programs)
    seen.add(drawn[0])
    assert len(seen.programs) == before
