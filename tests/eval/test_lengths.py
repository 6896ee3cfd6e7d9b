"""Holes at their true length, at fixed ones and by default: the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.batch.rows import FillRow
from diffucli.eval import asking, lengths
from diffucli.eval.judging import JudgedSample
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, RepairProblem, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.eval.problems import Problem
    from diffucli.model.load import Checkpoint

LONG = FillProblem("lines", "", "return x + y + z", "\n")
HOLES = [FillProblem("lines", "", "x", "\n"), LONG, FillProblem("bodies", "", "return 12", "\n")]


def judged(problem: Problem, text: str) -> Judgement:
    """Right: the default, and at least eight tokens of a line."""
    return Judgement(text == "0" or (problem.group == "lines" and int(text) >= 8), parses=True, reason="")


def results(checkpoint: Checkpoint) -> Iterator[JudgedSample]:
    """What is written is the number of tokens of its hole; by default, 0."""
    for each in asking.wanted(HOLES, seeds=[0], lengths=lengths.LENGTHS):
        row = asking.row_of(each, checkpoint.tokenizer, answer=9)
        assert isinstance(row, FillRow)
        text = str(row.length[1] if row.length else 0)
        yield JudgedSample(
            each.index, each.problem, 0, Sample(text, 1, 1, 0.1), judged(each.problem, text), each.length
        )


def test_the_table_has_a_column_for_each_length_and_the_mean_of_the_fixed_ones(checkpoint: Checkpoint) -> None:
    header, _, lines, bodies = lengths.table(lengths.length_reports(results(checkpoint))).splitlines()
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
