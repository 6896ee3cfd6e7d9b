"""The scripts of the documents still fit the code: what they import is there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "docs" / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_finds_what_it_imports_and_has_a_main(path: Path) -> None:
    assert callable(runpy.run_path(str(path))["main"])
