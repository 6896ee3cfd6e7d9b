"""What is told of the machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import torch

from diffucli.lab import machine
from diffucli.lab.machine import this_machine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CPU = torch.device("cpu")


def test_the_processor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast CPU @ 9 GHz\nmodel name\t: other\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert this_machine(CPU).processor == "Fast CPU @ 9 GHz"


def test_where_the_system_has_no_such_file_python_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert this_machine(CPU).processor == platform.machine()


def test_cores_threads_and_device() -> None:
    found = this_machine(CPU)
    assert (found.cores, found.threads, found.device) == (os.cpu_count(), torch.get_num_threads(), "cpu")


def test_no_name_of_the_host() -> None:
    assert platform.node() not in {"", this_machine(CPU).processor, this_machine(CPU).device}
