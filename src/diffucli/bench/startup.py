"""How long a command takes from its start, in child processes: imports, load, the first token on the screen, the end.

Knows argument lists; what they run is the caller's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from diffucli.errors import DiffuError
from diffucli.ui.terminal import BEGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

DIFFU = (sys.executable, "-m", "diffucli")
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
class Model:
    """Which model the children load, and how: the values of -m, --device and --quant."""

    folder: str
    device: str
    quant: str

    @property
    def flags(self) -> tuple[str, ...]:
        """For a command."""
        return ("-m", self.folder, "--device", self.device, "--quant", self.quant)


def measure(model: Model, *, rounds: int = 1) -> dict[str, float]:
    """Seconds, the medians of `rounds`, by NAMES: what loading imports is counted after torch."""
    laps = [_lap(model) for _ in range(rounds)]
    return {name: median(column) for name, column in zip(NAMES, zip(*laps, strict=True), strict=True)}


def _lap(model: Model) -> tuple[float, ...]:
    gen = (*DIFFU, "gen", REQUEST, *model.flags, "--live", "always", "--fps", "60")
    return elapsed([*DIFFU, "--help"]), *phases(PHASES, model), *first_and_last(gen)


def elapsed(argv: Sequence[str]) -> float:
    """Seconds from the start of a child to its end."""
    begun = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = time.perf_counter() - begun
    _require(done.returncode, done.stderr)
    return seconds


def phases(code: str, model: Model) -> tuple[float, ...]:
    """The seconds that a child, run with `code`, prints as a list."""
    argv = [sys.executable, "-c", code, model.folder, model.device, model.quant]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    _require(done.returncode, done.stderr)
    found: Any = json.loads(done.stdout)
    return tuple(found)


def first_and_last(argv: Sequence[str]) -> tuple[float, float]:
    """Seconds from the start of a child to its second frame, the first that has tokens, and to its end."""
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
        _require(child.returncode, seen.decode(errors="replace"))
    return second, last


def _require(code: int, told: str) -> None:
    if code:
        raise DiffuError(f"a child that was measured ended with {code}: {told.strip()[-300:]}")
