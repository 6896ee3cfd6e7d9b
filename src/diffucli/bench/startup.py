"""How long the command takes to start, measured in child processes: imports, load, the first token shown, the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from diffucli.bench.report import Findings
from diffucli.errors import DiffuError
from diffucli.lab import markdown
from diffucli.ui.terminal import BEGIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYTHON = (sys.executable, "-P")  # modules in the working folder are not imported
DIFFU = (*PYTHON, "-m", "diffucli")
REQUEST = "write a quicksort"
UNPARSABLE = 3
PHASES = """
import json, sys, time
marks = [time.perf_counter()]
import torch
marks.append(time.perf_counter())
from pathlib import Path
from diffucli.model.load import load
marks.append(time.perf_counter())
load(Path(sys.argv[1]), device=sys.argv[2], quant=sys.argv[3])
marks.append(time.perf_counter())
print(json.dumps([b - a for a, b in zip(marks, marks[1:])]))
"""
NAMES = (
    "diffu --help",
    "import torch",
    "import the rest",
    "load the model",
    "to the first token on the screen",
    "to the end",
)


@dataclass(frozen=True, slots=True)
class ModelFlags:
    """The values of -m, --device and --quant that the child processes get."""

    folder: str
    device: str
    quant: str

    @property
    def flags(self) -> tuple[str, ...]:
        """As arguments of a command."""
        return ("-m", self.folder, "--device", self.device, "--quant", self.quant)


def measure(model: ModelFlags, *, rounds: int = 1) -> dict[str, float]:
    """The median seconds of `rounds` by phase, in the order of NAMES; "the rest" is what loading needs after torch."""
    laps = [_lap(model) for _ in range(rounds)]
    return {name: median(column) for name, column in zip(NAMES, zip(*laps, strict=True), strict=True)}


def _lap(model: ModelFlags) -> tuple[float, ...]:
    gen = (*DIFFU, "gen", REQUEST, *model.flags, "--live", "always", "--fps", "60")
    return elapsed([*DIFFU, "--help"]), *phases(PHASES, model), *first_and_last(gen)


def elapsed(argv: Sequence[str]) -> float:
    """Seconds from the start of a child process to its end."""
    begun = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = time.perf_counter() - begun
    _require_success(done.returncode, done.stderr)
    return seconds


def phases(code: str, model: ModelFlags) -> tuple[float, ...]:
    """The list of seconds that a child process running `code` prints."""
    argv = [*PYTHON, "-c", code, model.folder, model.device, model.quant]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    _require_success(done.returncode, done.stderr)
    found: Any = json.loads(done.stdout)
    return tuple(found)


def first_and_last(argv: Sequence[str]) -> tuple[float, float]:
    """Seconds from the start of a child process to its second frame, the first one with tokens, and to its end."""
    begun = time.perf_counter()
    seen, second = b"", 0.0
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, **streams) as child:  # type: ignore[call-overload]  # noqa: S603
        while chunk := os.read(child.stderr.fileno(), 1 << 16):
            seen += chunk
            if not second and seen.count(BEGIN.encode()) > 1:
                second = time.perf_counter() - begun
    last = time.perf_counter() - begun
    if child.returncode != UNPARSABLE:
        _require_success(child.returncode, seen.decode(errors="replace"))
    return second, last


def _require_success(code: int, stderr: str) -> None:
    if code:
        raise DiffuError(f"the measured child process ended with exit code {code}: {stderr.strip()[-300:]}")


def findings(seconds: Mapping[str, float]) -> Findings:
    """One row per phase."""
    rows = [[name, f"{each:.2f}"] for name, each in seconds.items()]
    return Findings(markdown.table(["phase", "s"], rows), {"start": seconds})
