"""What the tests of `diffu bench` share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Diffu

    Cells = Callable[[str], list[str]]


@pytest.fixture
def values(diffu: Diffu, loaded: object) -> Callable[..., dict]:
    """values(*argv): the object that `diffu bench argv… --json` prints."""

    def go(*argv: str | Path) -> dict:
        done = diffu("bench", *argv, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return go


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file with two requests."""
    path = tmp_path / "requests.txt"
    path.write_text("a stack class\n\n  sum of a list \n")
    return path


@pytest.fixture
def cells() -> Cells:
    """cells(row): the cells of a line of a Markdown table."""
    return lambda row: [cell.strip() for cell in row.strip().strip("|").split("|")]
