"""Markdown that reads well both on a terminal and in a page: tables with aligned columns, lists, measured sections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: Collection[int] = (0,)) -> str:
    """A table with aligned columns, without a final newline.

    text: the columns of text, aligned to the left. All others hold numbers and are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    left = [column in text for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, left, strict=True)
        return _line([cell.ljust(width) if is_left else cell.rjust(width) for cell, width, is_left in columns])

    rule = ["-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)]
    return "\n".join([line(header), _line(rule), *map(line, rows)])


def bullets(values: Mapping[str, object]) -> str:
    """A list with one `- name: value` a line; underscores in names become spaces, floats get one decimal place."""
    return "\n".join(
        f"- {name.replace('_', ' ')}: {f'{value:.1f}' if isinstance(value, float) else value}"
        for name, value in values.items()
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def uncertain(share: str, error: float | None) -> str:
    """A share in percent with its standard error, a share of one, if that can be told: "81.0 % ± 3.9"."""
    return share if error is None else f"{share} ± {100 * error:.1f}"


def measured_section(name: str, text: str) -> str:
    """A section of a page that a script writes anew; the rest of the page is written by hand."""
    return f"<!-- measured: {name} -->\n\n{text.strip()}\n\n<!-- end -->"


def with_section(page: str, name: str, text: str) -> str:
    """`page` with `text` in its measured section `name`. Raises LookupError if there is not exactly one."""
    found = re.findall(rf"<!-- measured: {name} -->.*?<!-- end -->", page, flags=re.DOTALL)
    if len(found) != 1:
        raise LookupError(f"the page has {len(found)} sections {name}")
    return page.replace(found[0], measured_section(name, text))
