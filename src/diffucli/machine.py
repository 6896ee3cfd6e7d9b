"""The machine that a figure was measured on, as far as it matters to others: no names of hosts, no paths."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """processor: the CPU's name; cores: of the machine; threads: those torch uses; device: a GPU's name, or cpu."""

    processor: str
    cores: int
    threads: int
    device: str


def this_machine(device: torch.device) -> Machine:
    """The machine we are on, at work on `device`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Machine(_processor(), os.cpu_count() or 1, torch.get_num_threads(), name)


def _processor() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
