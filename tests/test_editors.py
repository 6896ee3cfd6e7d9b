"""What docs/editors.md says, run in the editors that are installed, with the real command on the golden checkpoint."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "editors.md").read_text(encoding="utf-8")
TEXT = "first = 1\nsecond = ???8\nthird = 3\n"
BROKEN = "x = 1\ny = (\n"


def block(language: str) -> str:
    """The code of a block of the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def has(editor: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(editor) is None, reason=f"{editor} is not installed")


@pytest.fixture
def run(tmp_path: Path, golden: Path):
    """Runs an editor in a folder of its own, where `diffu` is on the path."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "diffu"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m diffucli "$@"\n')
    tool.chmod(0o755)
    work = tmp_path / "my work"
    work.mkdir()
    (work / "a b.py").write_text(TEXT)
    (work / "broken.py").write_text(BROKEN)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    env |= {"DIFFU_STATE": str(tmp_path / "state"), "DIFFU_MODEL": str(golden), "OMP_NUM_THREADS": "1", "TERM": "dumb"}
    env |= {"DIFFU_VERIFY": "off", "DIFFU_REPAIR": "0", "DIFFU_SEED": "0", "XDG_CONFIG_HOME": str(tmp_path / ".config")}

    def go(*argv: str) -> Path:
        done = subprocess.run(
            argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return work

    return go


def require_second_alone_changed(path: Path) -> None:
    """The line in the middle is another one, and the others are as they were."""
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("first = 1", "third = 3")
    assert "???" not in path.read_text()


def vi(editor: str, *commands: str) -> list[str]:
    """The command line of Vim or Neovim with these commands after the lines of the page."""
    Path("vimrc").write_text(block("vim"))
    return [editor, "-u", str(Path("vimrc").absolute()), "-es", *(f"-c{one}" for one in commands), "-cqa!"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


EDITORS = [pytest.param("vim", marks=has("vim")), pytest.param("nvim", marks=has("nvim"))]


@pytest.mark.parametrize("editor", EDITORS)
def test_vim_fills_the_lines_of_a_range(editor, run):
    work = run(*vi(editor, "edit a\\ b.py", "2Fill", "undo", "write! undone.py"))
    require_second_alone_changed(work / "a b.py")
    assert (work / "undone.py").read_text() == TEXT, "u takes it back"


@pytest.mark.parametrize("editor", EDITORS)
def test_vim_filters_a_range_and_lists_errors(editor, run):
    (command,) = re.findall(r"`:'<,'>(!diffu fill .*?)`", PAGE)
    quickfix = "call writefile(map(getqflist(), {_, e -> e.lnum . ':' . e.col . ':' . e.text}), 'errors')"
    commands = [
        "edit a\\ b.py",
        f"2,2{command}",
        "write",
        "edit broken.py",
        "setfiletype python",
        "silent make",
        quickfix,
    ]
    work = run(*vi(editor, *commands))
    require_second_alone_changed(work / "a b.py")
    assert re.fullmatch(r"2:5:\S.*\n", (work / "errors").read_text())


@has("emacs")
def test_emacs_fills_a_region_and_lists_errors(run, tmp_path):
    Path("init.el").write_text(block("elisp"))
    fill = """(progn (find-file "a b.py") (forward-line 1)
        (diffu-fill (point) (line-end-position)) (let ((make-backup-files nil)) (save-buffer)))"""
    check = """(progn (find-file "broken.py") (diffu-check)
        (while (process-live-p (get-buffer-process "*compilation*")) (accept-process-output nil 0.1))
        (next-error) (write-region (format "%d" (line-number-at-pos)) nil "errors"))"""
    work = run("emacs", "-Q", "--batch", "-l", str(tmp_path / "init.el"), "--eval", fill, "--eval", check)
    require_second_alone_changed(work / "a b.py")
    assert (work / "errors").read_text() == "2"


@has("kak")
def test_kakoune_fills_a_selection(run, tmp_path):
    (tmp_path / ".config" / "kak").mkdir(parents=True)
    (tmp_path / ".config" / "kak" / "kakrc").write_text(block("kak"))
    work = run("kak", "-ui", "dummy", "-e", "execute-keys 2gx; fill; write; quit!", "a b.py")
    require_second_alone_changed(work / "a b.py")
