"""The script of docs/benchmarks.md rewrites the measured sections and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from diffucli.cli import bench
from diffucli.lab.markdown import with_section

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
        assert with_section(page, name, "new").count("new") == page.count("new") + 1


def test_every_section_is_a_command_that_parses(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(ROOT)
    commands = typer.main.get_command(bench.app).commands  # type: ignore[attr-defined]
    for name, *flags in script.SECTIONS.values():
        commands[name].make_context(name, flags)


def test_the_page_shows_the_command_of_every_section(script: ModuleType) -> None:
    page = (ROOT / script.PAGE).read_text(encoding="utf-8")
    for name, argv in script.SECTIONS.items():
        assert f"<!-- measured: {name} -->\n\n`diffu bench {' '.join(argv)}`\n" in page


def test_only_the_sections_that_are_named_change(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / script.PAGE
    page.write_text(PAGE.format("fill"), encoding="utf-8")
    calls = []
    script.main(["fill", "--model", "m"], root=tmp_path, bench=lambda argv: calls.append(argv) or "| ÷ |\n")
    assert calls == [("fill", "--rounds", "5", "--model", "m")]
    command = "`diffu bench fill --rounds 5 --model m`"
    text = f"<!-- measured: fill -->\n\n{command}\n\n| ÷ |\n\n<!-- end -->"
    old = "<!-- measured: fill -->\nold\n<!-- end -->"
    assert page.read_text(encoding="utf-8") == PAGE.format("fill").replace(old, text)


def test_a_page_without_the_section_and_a_name_that_is_none_are_refused(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="0 sections start"):
        with_section(PAGE.format("fill"), "start", "new")
    with pytest.raises(SystemExit):
        script.main(["nothing"], root=tmp_path, bench=lambda argv: "")
