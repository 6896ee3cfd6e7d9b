"""docs/benchmarks.md is rewritten by its script: the measured sections, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from diffucli.cli.app import app
from diffucli.cli.bench_flags import Asked

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
PAGE = "# Figures\n\n<!-- measured: {} -->\nold\n<!-- end -->\n\nby hand\n\n<!-- measured: other -->\nx\n<!-- end -->\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks", ROOT / "docs" / "scripts" / "benchmarks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_every_section_once(script: ModuleType) -> None:
    page = (ROOT / script.PAGE).read_text(encoding="utf-8")
    for name in script.SECTIONS:
        assert script.rewritten(page, name, "new").count("new") == page.count("new") + 1


def test_every_section_is_a_command_that_makes_sense(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(ROOT)
    command = typer.main.get_command(app).commands["bench"]  # type: ignore[attr-defined]
    for flags in script.SECTIONS.values():
        given = command.make_context("bench", list(flags)).params
        Asked(**{name: given[name] for name in Asked.__dataclass_fields__}).require(model=False)


def test_only_the_sections_that_are_named_change(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / script.PAGE
    page.write_text(PAGE.format("fill"), encoding="utf-8")
    asked = []
    script.main(["fill", "--model", "m"], root=tmp_path, bench=lambda flags: asked.append(flags) or "| ÷ |\n")
    assert asked == [("--fill", "--rounds", "5", "--model", "m")]
    command = "`diffu bench --fill --rounds 5 --model m`"
    text = f"<!-- measured: fill -->\n\n{command}\n\n| ÷ |\n\n<!-- end -->"
    old = "<!-- measured: fill -->\nold\n<!-- end -->"
    assert page.read_text(encoding="utf-8") == PAGE.format("fill").replace(old, text)


def test_a_page_without_the_section_and_a_name_that_is_none_are_refused(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="0 sections start"):
        script.rewritten(PAGE.format("fill"), "start", "new")
    with pytest.raises(SystemExit):
        script.main(["nothing"], root=tmp_path, bench=lambda flags: "")
