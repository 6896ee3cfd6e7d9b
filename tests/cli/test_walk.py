"""The files that `diffu check` reads where folders are named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("in_git", [True, False])
def test_of_a_folder_every_source_file_is_checked_that_is_not_ignored(diffu, in_git):
    for name in (
        "src/a.py",
        "src/deep/b.js",
        "build/c.py",
        "env/d.py",
        "node_modules/e.js",
        ".hidden/f.py",
        "notes.txt",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("= (\n")
    Path("env/pyvenv.cfg").touch()
    ignored = {"build/c.py"}
    if in_git:
        subprocess.run(["git", "init", "-q"], check=True)
        Path(".gitignore").write_text("build/\nenv/\nnode_modules/\n.hidden/\n")
    done = diffu("check", ".")
    found = {line.split(":")[0] for line in done.out.decode().splitlines()}
    assert done.code == 1
    assert found == {"src/a.py", "src/deep/b.js"} | (set() if in_git else ignored)


def test_a_file_is_checked_once_by_whatever_names(diffu):
    Path("a.py").write_text("(\n")
    Path("link.py").symlink_to("a.py")
    assert len(diffu("check", "a.py", "link.py", ".", "./a.py").out.splitlines()) == 1
