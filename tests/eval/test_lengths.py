"""Holes at their true length, at fixed ones and by default: the bounds that a writer gets, and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffucli.decode.policy import PRESETS
from diffucli.eval import lengths
from diffucli.eval.evaluate import Writer
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, RepairProblem, Sample

if TYPE_CHECKING:
    from diffucli.eval.evaluate import Solver
    from diffucli.eval.problems import Problem
    from diffucli.model.load import Checkpoint

LONG = FillProblem("lines", "", "return x + y + z", "\n")
HOLES = [FillProblem("lines", "", "x", "\n"), LONG, FillProblem("bodies", "", "return 12", "\n")]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int] | None]:
    """The bounds that writers got; what is written is their upper bound."""
    seen: list[tuple[int, int] | None] = []

    def solver(writer: Writer) -> Solver:
        def solve(_problem: Problem, _seed: int) -> Sample:
            seen.append(writer.length)
            return Sample(str(writer.length[1] if writer.length else 0), 1, 1, 0.1)

        return solve

    monkeypatch.setattr(lengths, "solver", solver)
    return seen


def judged(problem: Problem, text: str) -> Judgement:
    """Right: the default, and at least eight tokens of a line."""
    return Judgement(text == "0" or (problem.group == "lines" and int(text) >= 8), parses=True, reason="")


def test_every_length_is_given_to_every_hole(checkpoint: Checkpoint, given: list[tuple[int, int] | None]) -> None:
    found = list(lengths.by_lengths(HOLES, Writer(checkpoint, PRESETS["balanced"]), seeds=[0, 1], judge=judged))
    true = [len(checkpoint.tokenizer.encode(hole.expected)) for hole in HOLES]
    assert len(set(true)) > 1
    bounds = [*((n, n) for n in true), *((n, n) for n in (4, 8, 16, 32, 64) for _ in HOLES), *[None] * 3]
    assert given == [each for each in bounds for _ in range(2)]
    told = [(each.length, each.index, each.seed) for each in found]
    assert told == [(length, i, seed) for length in lengths.LENGTHS for i in range(3) for seed in (0, 1)]


@pytest.mark.usefixtures("given")
def test_the_table_has_a_column_for_each_length_and_the_mean_of_the_fixed_ones(checkpoint: Checkpoint) -> None:
    results = lengths.by_lengths(HOLES, Writer(checkpoint, PRESETS["balanced"]), seeds=[0], judge=judged)
    header, _, lines, bodies = lengths.table(lengths.length_reports(results)).splitlines()
    names = ["group", "problems", "oracle", "fixed", *(f"{n} tokens" for n in (4, 8, 16, 32, 64)), "auto"]
    assert _cells(header) == names
    oracle = f"{50.0 * (len(checkpoint.tokenizer.encode(LONG.expected)) >= 8)} %"
    rates = ["0.0 %", *["100.0 %"] * 5]
    assert _cells(lines) == ["lines", "2", oracle, "80.0 %", *rates]
    assert _cells(bodies) == ["bodies", "1", "0.0 %", "0.0 %", *["0.0 %"] * 5, "100.0 %"]


def test_only_holes_have_a_length() -> None:
    problems = [CodeProblem("g", "add", ""), *HOLES, RepairProblem("g", "x = (", "x = ()", "")]
    assert lengths.holes_of(problems) == HOLES


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
