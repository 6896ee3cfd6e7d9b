"""What the tests of the command line share: `diffu` in this process, on a model loaded once that says what it is told.

The command itself runs in child processes only where a terminal, a pipe or a signal is the matter.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.cli.app import run

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

MINI = Path(str(resources.files("diffucli") / "models" / "mini"))


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()


Diffu = Callable[..., Done]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder and an undo store of its own, and no settings from outside; stdin is /dev/null."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in [name for name in os.environ if name.startswith("DIFFU_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def diffu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, golden: Path) -> Diffu:
    """Runs `diffu argv…` in this process: diffu("gen", "x", stdin=b"…"); no stdin is /dev/null, as for a service."""
    monkeypatch.setenv("DIFFU_MODEL", str(golden))

    def go(*argv: str | Path, stdin: bytes | None = None) -> Done:
        source = tmp_path / "stdin"
        source.write_bytes(stdin or b"")
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        with (
            source.open(encoding="utf-8") if stdin is not None else Path(os.devnull).open(encoding="utf-8") as given,
            monkeypatch.context() as patched,
        ):
            for name, stream in (("stdin", given), ("stdout", out), ("stderr", err)):
                patched.setattr(sys, name, stream)
            code = run([str(word) for word in argv])
            out.flush()
            err.flush()
        return Done(code, out.buffer.getvalue(), err.buffer.getvalue().decode())

    return go


@pytest.fixture
def loaded(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """The golden checkpoint wherever a command loads one: loading is tested in its own room."""
    monkeypatch.setattr("diffucli.model.load.load", lambda folder, **_: checkpoint)
    return checkpoint


@pytest.fixture
def says(loaded: Checkpoint, monkeypatch: pytest.MonkeyPatch, script: Any) -> Callable[..., list[str]]:
    """Makes every run write what a `Script` says; gives the canvases that it saw, as text."""

    def told(*texts: str, left: int = 0, repair: str = "(") -> list[str]:
        made = script(loaded, *texts, left=left, repair=repair, nfe=1)
        monkeypatch.setattr("diffucli.tasks.write.denoise", made)
        seen: list[str] = made.canvases
        return seen

    return told


@pytest.fixture(scope="session")
def mini() -> Path:
    """The embedded checkpoint's folder."""
    if not (MINI / "model.safetensors").exists():
        pytest.skip("mini is not trained yet: src/diffucli/models/mini holds no weights")
    return MINI


@pytest.fixture
def command() -> list[str]:
    """The beginning of an argument list that runs the real command in a child process."""
    return [sys.executable, "-m", "diffucli"]


@pytest.fixture
def environment(golden: Path) -> dict[str, str]:
    """What such a child sees."""
    return {**os.environ, "DIFFU_MODEL": str(golden), "OMP_NUM_THREADS": "1", "TERM": "xterm-256color"}
