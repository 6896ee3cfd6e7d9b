"""What the tests of this room need of the machine: small disks, and a process without root's powers."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

AS_NOBODY = """
import os, sys
from pathlib import Path
import psutil
from diffucli.edit import patch, source
from diffucli.edit.undo import UndoStore
from diffucli.errors import DiffuError
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut is not among the tests; that syncing happens, and when, is."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "diffu-test", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    for inner in (path for path in folder.rglob("*") if path.is_dir()):
        inner.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Callable[..., str]:
    """Runs Python code, after its imports, in a process that permission bits bind; gives what it printed."""

    def run(code: str, *arguments: Path) -> str:
        command = [sys.executable, "-c", AS_NOBODY + textwrap.dedent(code), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
