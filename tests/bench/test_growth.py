"""The same region in files of two sizes: only what is far from it differs."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from diffucli.bench import growth
from diffucli.bench.growth import SIZES, Growth
from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.edit import regions
from diffucli.edit.source import from_bytes
from diffucli.tasks.fill import fill
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

if TYPE_CHECKING:
    import pytest


def test_sources_are_python_of_the_size_said_and_the_small_one_is_the_middle_of_the_large_one() -> None:
    small, large = map(growth.source, SIZES)
    for text, lines in ((small, SIZES[0]), (large, SIZES[1])):
        ast.parse(text)
        assert text.count("\n") == lines
    assert small in large


def test_the_region_is_the_same_five_lines_in_all() -> None:
    texts = []
    for lines in SIZES:
        text = growth.source(lines)
        (found,) = regions.parse([growth.region(lines)], text, find_symbol=lambda _: regions.Region(0, 0))
        texts.append(text[found.start : found.stop])
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 4
    assert texts[0].lstrip().startswith("for item in items:")


def test_sizes_take_turns_and_the_first_turn_does_not_count() -> None:
    filled: list[int] = []

    def fill(text: str, region: str) -> float:
        assert region == growth.region(text.count("\n"))
        filled.append(text.count("\n"))
        return len(filled)

    found = growth.measure("x", fill, rounds=2)
    assert filled == [*SIZES] * 3
    assert found.nfe == (5, 6)
    assert len(found.seconds) == 2


def test_seconds_are_the_median_of_the_rounds_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    durations = iter([9.0, 9.0, 1.0, 10.0, 3.0, 30.0, 2.0, 20.0])
    monkeypatch.setattr(growth.time, "perf_counter", clock)

    def fill(_text: str, _region: str) -> float:
        clock.now += next(durations)
        return 1

    assert growth.measure("x", fill, rounds=3).seconds == (2.0, 20.0)


class Clock:
    """A clock that only moves when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_findings_have_a_row_for_every_policy() -> None:
    found = growth.findings([Growth("fast", (0.5, 0.6), (3, 4))], context=320)
    note, _, _, _, row = found.text.splitlines()
    assert note == "A region of 5 lines. The model sees 320 tokens of the file."
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["fast", "0.500", "0.600", "1.20x", "3", "4"]
    assert found.values["fill"] == [{"name": "fast", "seconds": (0.5, 0.6), "nfe": (3, 4), "ratio": 1.2}]


def test_a_context_leaves_out_code_on_both_sides_of_the_region_in_all_sizes(checkpoint: Checkpoint) -> None:
    """So the model sees the same tokens of both files, and a fill takes the same forwards."""
    context = growth.context_of(checkpoint)
    narrow = replace(checkpoint, config=replace(checkpoint.config, trained_length=context))
    notes, found = [], growth.measure("x", growth.fill_with(narrow, PRESETS["fast"]))
    for lines in SIZES:
        (job,) = jobs_of([(from_bytes(growth.source(lines).encode()), growth.NAME)], Wanted((growth.region(lines),)))
        notes += pull(alone(narrow.network, fill(narrow, job, PRESETS["fast"], verify="off"))).result.notes
    assert context < checkpoint.config.context
    assert len(notes) == 2
    assert all("the first " in note and "the last " in note for note in notes)
    assert found.nfe[0] == found.nfe[1] > 0


def test_a_context_is_no_longer_than_the_checkpoint_was_trained_for(checkpoint: Checkpoint) -> None:
    narrow = replace(checkpoint, config=replace(checkpoint.config, trained_length=50))
    assert growth.context_of(narrow) == 50


def test_a_fill_that_breaks_the_code_is_not_repaired(checkpoint: Checkpoint) -> None:
    """Its cost would be that of luck."""
    text, region, policy = "x = 1\ny = 2\n", "1:1", PRESETS["fast"]
    (job,) = jobs_of([(from_bytes(text.encode()), growth.NAME)], Wanted((region,)))
    result = pull(alone(checkpoint.network, fill(checkpoint, job, policy))).result
    assert len(result.attempts) > 1, "the golden checkpoint writes no code"
    assert growth.fill_with(checkpoint, policy)(text, region) == result.attempts[0].written.nfe


def test_the_ratio_is_the_largest_over_the_smallest() -> None:
    assert Growth("x", (0.5, 0.6), (3, 3)).ratio == 1.2
