"""How much a hole's length matters: the same holes at their true length, at fixed ones, and by default.

Knows how problems are evaluated; not what they are.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from diffucli.eval.evaluate import AUTO, evaluate, solver
from diffucli.eval.problems import FillProblem, judge
from diffucli.eval.report import KS, group_reports
from diffucli.lab import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from diffucli.eval.evaluate import Judge, JudgedSample, Solver, Writer
    from diffucli.eval.problems import Problem, Sample
    from diffucli.eval.report import GroupReport

ORACLE = "oracle"
FIXED = (4, 8, 16, 32, 64)  # tokens
LENGTHS = (ORACLE, *map(str, FIXED), AUTO)


def holes_of(problems: Iterable[Problem]) -> list[FillProblem]:
    """The problems that have a hole whose length can be given."""
    return [problem for problem in problems if isinstance(problem, FillProblem)]


def by_lengths(
    holes: Sequence[FillProblem], writer: Writer, *, seeds: Sequence[int], judge: Judge = judge
) -> Iterator[JudgedSample]:
    """Every hole filled at each of `LENGTHS`, length by length; each sample says its own.

    Oracle: exactly as many tokens as the text that was cut out. A number: exactly so many. Auto: the default.
    """
    for length in LENGTHS:
        for result in evaluate(holes, _solver(writer, length), seeds=seeds, judge=judge):
            yield replace(result, length=length)


def _solver(writer: Writer, length: str) -> Solver:
    def solve(problem: Problem, seed: int) -> Sample:
        assert isinstance(problem, FillProblem)
        return solver(replace(writer, length=bounds(writer, problem, length)))(problem, seed)

    return solve


def bounds(writer: Writer, problem: FillProblem, length: str) -> tuple[int, int] | None:
    """The tokens that the hole of `problem` gets, at least and at most, for one of `LENGTHS`; None: the default."""
    if length == AUTO:
        return None
    tokens = len(writer.checkpoint.tokenizer.encode(problem.expected)) if length == ORACLE else int(length)
    return tokens, tokens


def length_reports(results: Iterable[JudgedSample], ks: Sequence[int] = KS) -> dict[str, list[GroupReport]]:
    """The reports of the groups by length. ks: of pass@k, besides 1."""
    found: dict[str, list[JudgedSample]] = {}
    for result in results:
        found.setdefault(result.length, []).append(result)
    return {length: group_reports(found[length], ks) for length in sorted(found, key=LENGTHS.index)}


def table(reports: Mapping[str, Sequence[GroupReport]]) -> str:
    """A Markdown table of pass@1: a row for each group, a column for each length, and the mean of the fixed ones."""
    header = ["group", "problems", "oracle", "fixed", *(f"{tokens} tokens" for tokens in FIXED), "auto"]
    rates = {length: {each.group: each.passes[1] for each in reports[length]} for length in LENGTHS}
    rows = [
        _cells(report, {length: found[report.group] for length, found in rates.items()}) for report in reports[AUTO]
    ]
    return markdown.table(header, rows)


def _cells(report: GroupReport, rates: Mapping[str, float]) -> list[str]:
    fixed = [rates[str(tokens)] for tokens in FIXED]
    shown = [rates[ORACLE], fmean(fixed), *fixed, rates[AUTO]]
    return [report.group, str(report.problems), *(f"{100 * rate:.1f} %" for rate in shown)]
