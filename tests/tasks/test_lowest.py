"""The lowest Python of a project, and the note on text that needs a higher one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diffucli.syntax.languages import by_name
from diffucli.tasks import lowest
from diffucli.tasks.lowest import Lowest

PYTHON = by_name("python")
MATCH = "match x:\n    case 1: pass\n"


def said(text: str | bytes, where: str = "pyproject.toml") -> Lowest | None:
    """What a pyproject.toml says of sub/a.py, in a git repository."""
    Path(".git").mkdir(exist_ok=True)
    Path("sub").mkdir(exist_ok=True)
    Path(where).write_bytes(text.encode() if isinstance(text, str) else text)
    return lowest.of(Path("sub/a.py"), PYTHON)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("required", "minor"),
    [
        (">=3.9", 9),
        (">=3.9,<4", 9),
        (">3.8,!=3.9.*", 8),
        (">=3.8.1", 8),
        ("~=3.10", 10),
        ("==3.11.*", 11),
        ("==3.11", 11),
        (">=2.7, !=3.0.*", 7),
        ("<3.12", 7),
    ],
)
def test_requires_python_says_the_lowest(required: str, minor: int):
    assert said(f'[project]\nrequires-python = "{required}"\n') == Lowest(minor, "requires-python")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[tool.ruff]\ntarget-version = "py39"', Lowest(9, "tool.ruff.target-version")),
        ('[tool.black]\ntarget-version = ["py311", "py310"]', Lowest(10, "tool.black.target-version")),
        ('[tool.mypy]\npython_version = "3.10"', Lowest(10, "tool.mypy.python_version")),
        ('tool.mypy.python_version = "3.12"\ntool.ruff.target-version = "py38"', Lowest(8, "tool.ruff.target-version")),
        ('[project]\nrequires-python = ">=3.9"\n[tool.ruff]\ntarget-version = "py38"', Lowest(9, "requires-python")),
    ],
)  # fmt: skip
def test_what_the_project_requires_comes_before_what_its_tools_are_told(text: str, wanted: Lowest):
    assert said(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "[project", b"\xff\xfe", '[project]\nrequires-python = "nonsense"', '[project]\nrequires-python = ""',
        "[project]\nrequires-python = 3", "project = 3", '[tool.black]\ntarget-version = ["x"]', "tool.ruff = [1]",
        '[project]\nrequires-python = ">=4"', "a = " + "[" * 5000,
    ],
)  # fmt: skip
def test_a_file_that_says_nothing_or_is_none_gives_nothing(text: str | bytes):
    assert said(text) is None


def test_the_nearest_file_counts_up_to_the_repository_and_no_further(tmp_path: Path, monkeypatch):
    assert said('[project]\nrequires-python = ">=3.8"') is not None
    assert said("", "sub/pyproject.toml") is None, "the nearest one is silent"
    Path("sub/pyproject.toml").unlink()
    Path("sub/.git").mkdir()
    assert lowest.of(Path("sub/a.py"), PYTHON) is None
    assert lowest.of(Path("a.py"), by_name("go")) is None
    assert lowest.of(None, PYTHON) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_named_pipe_is_not_waited_for():
    os.mkfifo("pyproject.toml")
    assert lowest.of(Path("a.py"), PYTHON) is None


def test_a_note_names_the_form_and_both_versions():
    python = Lowest(8, "requires-python")
    assert python.note(MATCH) == (
        "line 1 has a `match` statement, which needs Python 3.10; "
        "the lowest of this project is 3.8 (requires-python in pyproject.toml)"
    )
    assert Lowest(10, "requires-python").note(MATCH) == ""


def test_what_the_old_text_needed_already_is_no_news():
    python = Lowest(8, "requires-python")
    assert python.note(f"{MATCH}{MATCH}", MATCH) == ""
    assert python.note(MATCH, "with (a as b): pass\n") != ""
    assert python.note(MATCH, "def f[T](): pass\n") == ""
