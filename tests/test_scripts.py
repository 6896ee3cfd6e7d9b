"""The scripts of the documentation still fit the code: everything that they import exists."""

from __future__ import annotations

import ast
import importlib
import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "docs" / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_can_be_loaded_and_has_a_main(path: Path) -> None:
    assert callable(runpy.run_path(str(path))["main"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_whatever_a_script_imports_from_the_package_exists(path: Path) -> None:
    """Imports inside functions, too, which loading the script does not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "diffucli":
            module = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.import_module(f"{node.module}.{name}"), name
