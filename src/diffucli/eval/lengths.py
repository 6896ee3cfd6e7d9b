"""How much a hole's length matters: the same holes at their true length, at fixed ones, and by default.

Knows judged samples; not how they were written.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from diffucli.eval.judging import AUTO
from diffucli.eval.problems import FillProblem
from diffucli.eval.report import KS, group_reports
from diffucli.lab import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from diffucli.eval.judging import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.eval.report import GroupReport

ORACLE = "oracle"  # as many tokens as the text that was cut out
FIXED = (4, 8, 16, 32, 64)  # tokens
LENGTHS = (ORACLE, *map(str, FIXED), AUTO)


def holes_of(problems: Iterable[Problem]) -> list[FillProblem]:
    """The problems that have a hole whose length can be given."""
    return [problem for problem in problems if isinstance(problem, FillProblem)]


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
