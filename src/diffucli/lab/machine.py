"""Facts about this machine that a measurement depends on; no host names and no paths."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware that a measurement ran on.

    processor: Name of the CPU.
    cores: Number of CPU cores of the machine.
    threads: Number of threads that torch uses.
    device: Name of the GPU that computes, or the type of the device, such as "cpu".
    """

    processor: str
    cores: int
    threads: int
    device: str


def this_machine(device: torch.device) -> Machine:
    """The facts of this machine; `device` is the one that computes."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Machine(_processor(), os.cpu_count() or 1, torch.get_num_threads(), name)


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "transformers")}}


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes; 0 if the system does not report it."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1000 * peak


def _processor() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
