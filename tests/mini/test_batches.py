"""Batches hold what was drawn, rows of like length together, and the tally says what was in them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from diffucli.mini.batches import Tally, batch_of, batches
from diffucli.mini.rows import SLACKS, Row, Sources

if TYPE_CHECKING:
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

TOKENS = 2048


@pytest.fixture(scope="module")
def sources(words: Tokenizer, functions: list[Function]) -> Sources:
    return Sources(words, functions, SLACKS)


@pytest.fixture(scope="module")
def drawn(sources: Sources) -> list[list[Row]]:
    return list(islice(batches(sources, tokens=TOKENS, seed=3), 12))


def test_a_batch_takes_no_more_tokens_than_asked_for(drawn: list[list[Row]]) -> None:
    for rows in drawn:
        assert max(len(row.tokens) for row in rows) * len(rows) <= TOKENS


def test_rows_of_a_batch_are_of_like_length(drawn: list[list[Row]]) -> None:
    padded = sum(max(len(row.tokens) for row in rows) * len(rows) for rows in drawn)
    assert sum(len(row.tokens) for rows in drawn for row in rows) > 0.85 * padded


def test_a_seed_draws_the_same_batches(sources: Sources, drawn: list[list[Row]]) -> None:
    assert next(batches(sources, tokens=TOKENS, seed=3)) == drawn[0]
    assert next(batches(sources, tokens=TOKENS, seed=4)) != drawn[0]


def test_tensors_hold_the_rows(drawn: list[list[Row]], words: Tokenizer) -> None:
    batch = batch_of(drawn[0], pad=words.pad)
    for i, row in enumerate(drawn[0]):
        assert batch.tokens[i][batch.valid[i]].tolist() == list(row.tokens)
        assert (batch.tokens[i][~batch.valid[i]] == words.pad).all()
        (hole,) = row.holes
        assert batch.holes[i].nonzero()[:, 0].tolist() == list(range(hole.start, hole.stop))
        assert bool(batch.answers[i]) == row.answers


def test_the_tally_counts_rows_tokens_and_distinct_programs(drawn: list[list[Row]]) -> None:
    tally, every = Tally(), [row for rows in drawn for row in rows]
    for rows in drawn:
        tally.add(rows)
    assert tally.steps == len(drawn)
    assert tally.tokens == sum(len(row.tokens) for row in every)
    assert sum(tally.rows.values()) == len(every)
    assert tally.rows["task"] == sum(row.source == "task" for row in every)
    assert len(tally.programs) == len({row.code for row in every if row.source.startswith("composition")})
    before = len(tally.programs)
    tally.add(drawn[0])
    assert len(tally.programs) == before
