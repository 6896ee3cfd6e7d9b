"""Reports as an aligned Markdown table."""

from __future__ import annotations

from dataclasses import replace

from diffucli.eval.passk import Report
from diffucli.eval.table import table

ONE = Report("tasks", 499, 1, {1: 0.875}, 0.015, 0.99, 12.34, 61.5, 0.251)


def test_a_row_tells_what_a_report_holds() -> None:
    assert table([ONE]) == (
        "| group | problems |       pass@1 | parses |  NFE | tokens | TPF |    s | tok/s |\n"
        "| ----- | -------: | -----------: | -----: | ---: | -----: | --: | ---: | ----: |\n"
        "| tasks |      499 | 87.5 % ± 1.5 | 99.0 % | 12.3 |   61.5 | 5.0 | 0.25 |   245 |\n"
    )


def test_ten_samples_have_a_column() -> None:
    ten = replace(ONE, samples=10, passes={1: 0.8, 10: 1.0})
    header, _, row = table([ten]).splitlines()
    assert "| pass@10 |" in header
    assert "| 100.0 % |" in row
    assert "pass@10" not in table([ten, ONE]), "only what every group has"


def test_rows_are_aligned() -> None:
    lines = table([ONE, replace(ONE, group="a much longer name", problems=3)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 4


def test_no_reports_are_a_header() -> None:
    assert table([]).startswith("| group | problems | parses |")
