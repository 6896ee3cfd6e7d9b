"""Reports as a table that reads the same on a terminal and in a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.eval.passk import Report

COSTS = ("parses", "NFE", "tokens", "TPF", "s", "tok/s")


def table(reports: Sequence[Report]) -> str:
    """A row a group: problems, pass@1 and (with ten samples) pass@10 in percent, and the means of what it cost."""
    ks = [k for k in (reports[0].passes if reports else ()) if all(k in each.passes for each in reports)]
    header = ["group", "problems", *(f"pass@{k}" for k in ks), *COSTS]
    return _aligned([header, *(_cells(each, ks) for each in reports)])


def _cells(report: Report, ks: Sequence[int]) -> list[str]:
    first, *more = (f"{100 * report.passes[k]:.1f} %" for k in ks)
    return [
        report.group,
        str(report.problems),
        f"{first} ± {100 * report.error:.1f}",
        *more,
        f"{100 * report.parses:.1f} %",
        f"{report.nfe:.1f}",
        f"{report.tokens:.1f}",
        f"{report.tpf:.1f}",
        f"{report.seconds:.2f}",
        f"{report.rate:.0f}",
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    rule = _line(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
