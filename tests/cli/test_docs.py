"""Every `gen` and `fill` command of README and docs/usage.md runs with mini, and does as its comment says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.cli.journal import log_store
from diffucli.events import Started
from diffucli.model.load import load
from diffucli.trace.form import SCHEMA, LineWriter, TraceJob, job_line, to_json
from diffucli.trace.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Diffu

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/usage.md")
APP = '''\
"""An application."""

import csv


class Cfg:
    def load(self, path):
        with open(path) as file:
            return list(csv.reader(file))


def largest(numbers):
    best = numbers[0]
    for number in numbers:
        if number > best:
            best = number
    return best


def total(numbers):
    # TODO: the sum of the numbers
    pass
'''
LIB = """\
def load(path):
    with open(path) as file:
        return file.read()


def smallest(numbers):
    # TODO: the smallest of the numbers
    pass
"""


BROKEN = """\
def add(a, b:
    return a + b


def double(x)
    return 2 * x
"""


def commands(page: str) -> list[str]:
    """The commands with `diffu gen` or `diffu fill` in the code blocks of a page, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = re.findall(r"(?:[^\n']|'[^']*')+", "\n".join(blocks))
    return [
        re.sub(r"\s{2,}#[^\n]*\Z", "", line)
        for line in lines
        if re.search(r"(?:^|\| )diffu (?:gen|fill)\b", line) and ".venv/" not in line
    ]


ALL = list(dict.fromkeys(command for page in PAGES for command in commands(page)))


@pytest.fixture
def project() -> Path:
    """The folder of the test with the files that the commands name, in a git repository."""
    here = Path.cwd()
    for name in ("app.py", "a.py"):
        (here / name).write_text(APP, encoding="utf-8")
    for name in ("lib.py", "b.py", "shapes.py", "tool.py"):
        (here / name).write_text(LIB, encoding="utf-8")
    (here / "broken.py").write_text(BROKEN, encoding="utf-8")
    (here / "request.txt").write_text("reverse a string\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], check=True)
    keep_an_interrupted_run()
    return here


def keep_an_interrupted_run() -> None:
    """The last run of the log has written all tokens but one."""
    text = b"def add(a, b):\n    return a + "
    writer = LineWriter(lambda token: bytes([token]))
    started = Started((*text, 300, *b"\n"), 300, ((len(text), len(text) + 1),))
    values = [{"schema": SCHEMA}, job_line(TraceJob("python", None)), *writer.lines(started)]
    log_store().save(new_id(), [to_json(line) for line in values])


@pytest.fixture
def with_mini(diffu: Diffu, mini: Path, monkeypatch: pytest.MonkeyPatch) -> Diffu:
    """`diffu` with the embedded model, which is loaded once for all tests."""
    monkeypatch.setenv("DIFFU_MODEL", str(mini))
    monkeypatch.setattr("diffucli.model.load.load", lambda folder, **_: LOADED.setdefault(folder, load(folder)))
    return diffu


LOADED: dict[Path, object] = {}


def test_the_pages_have_commands() -> None:
    assert len(ALL) > 20
    assert 'diffu gen "check whether a number is prime"' in ALL
    assert any(command.startswith("echo 'def reverse_string") for command in ALL)


@pytest.mark.parametrize("command", [c for c in ALL if "|" not in c.replace("|dlm", "")])
def test_a_command_of_the_docs_runs(command: str, project: Path, with_mini: Diffu) -> None:
    words = shlex.split(command)[1:]
    given = (project / words.pop()).read_bytes() if words[-2:-1] == ["<"] and words.remove("<") is None else None
    words = [name for word in words for name in (sorted(p.name for p in project.glob(word)) if "*" in word else [word])]
    done = with_mini(*words, "--seed", "0", stdin=given)
    assert "internal error" not in done.err
    if "--slow" in words:
        assert (done.code, "needs the live view" in done.err) == (2, True), "tests/cli/test_replay.py has a terminal"
    elif "--ask" in words:
        assert (done.code, "needs a terminal" in done.err) == (2, True), "tests/cli/test_pty.py answers the questions"
    elif "--check" in words:
        assert done.code in {0, 1, 3}, done.err
    else:
        assert done.code in {0, 3}, done.err
    if done.code == 3:
        assert "nothing was written" in done.err, "a refusal says so"
    changed = {path.name for path in project.glob("*.py") if path.read_text("utf-8") not in {APP, LIB, BROKEN}}
    if done.code == 3:
        assert not changed


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ('diffu gen "check whether a number is prime"', "assert f(7) and not f(8)"),
        ('diffu gen "write a quicksort"', "assert f([2, 3, 1]) == [1, 2, 3]"),
    ],
)
def test_the_first_commands_write_what_they_say(command: str, code: str, with_mini: Diffu) -> None:
    done = with_mini(*shlex.split(command)[1:], "--seed", "0")
    scope: dict[str, Callable[..., object]] = {}
    exec(done.out.decode(), scope)
    functions = [value for name, value in scope.items() if callable(value) and not name.startswith("__")]
    exec(code, {"f": functions[-1]})


def test_errors_are_mended_as_the_readme_says(project: Path, with_mini: Diffu) -> None:
    assert "diffu fill broken.py -r :errors -w" in ALL
    done = with_mini("fill", "broken.py", "-r", ":errors", "-w", "--seed", "0")
    assert done.code == 0, done.err
    assert (project / "broken.py").read_text() == BROKEN.replace("b:", "b):").replace("(x)", "(x):")


@pytest.mark.parametrize("command", [c for c in ALL if "|" in c])
def test_a_pipeline_of_the_docs_runs(command: str, project: Path, mini: Path) -> None:
    bin_ = project / "bin"
    bin_.mkdir()
    for name, words in (("diffu", "-m diffucli"), ("python", "")):
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        (bin_ / name).chmod(0o755)
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path, "DIFFU_MODEL": str(mini), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "--partial" in command:
        assert done.stdout == "def add(a, b):\n    return a + b\n"
    assert "Traceback" not in done.stderr
