"""Folders are removed by their caller or, if that died, by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from diffucli.sandbox import scratch
from diffucli.sandbox.scratch import PREFIX, sweep

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of folders are POSIX")


def aged(folder: Path) -> Path:
    """A folder that was changed an hour ago."""
    folder.mkdir(exist_ok=True)
    os.utime(folder, (time.time() - 3600,) * 2)
    return folder


def test_a_folder_is_there_for_its_time() -> None:
    with scratch() as folder:
        (folder / "a").write_text("1")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_what_a_dead_caller_left_is_removed(tmp_path: Path) -> None:
    code = "import os; from diffucli.sandbox import scratch\nwith scratch() as folder: os.kill(os.getpid(), 9)"
    child = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.iterdir()
    assert child.returncode == -9
    sweep(tmp_path)
    assert left.exists(), "its caller may be about to lock it"
    aged(left)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_and_what_is_not_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other, target = aged(tmp_path / "diffu-other"), aged(tmp_path / "target")
    (tmp_path / f"{PREFIX}link").symlink_to(target)
    os.utime(tmp_path / f"{PREFIX}link", (0, 0), follow_symlinks=False)
    with scratch() as folder:
        aged(folder)
        sweep(tmp_path)
        assert folder.exists()
    assert other.exists()
    assert target.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_folders_of_other_users_are_kept(tmp_path: Path) -> None:
    others = aged(tmp_path / f"{PREFIX}others")
    os.chown(others, 65534, 65534)
    sweep(tmp_path)
    assert others.exists()
