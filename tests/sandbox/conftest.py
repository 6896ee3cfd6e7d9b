"""The ways of confinement that this machine has, and a look at processes from outside."""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.errors import UsageError
from diffucli.sandbox import Confinement, run_tests

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@cache
def missing(way: Confinement) -> str:
    """Why this machine cannot confine code so; empty if it can."""
    try:
        return "" if run_tests("", "", confinement=way).ok else "a run fails"
    except UsageError as exc:
        return exc.message


@pytest.fixture(params=["bubblewrap", "namespaces", "none"])
def way(request: pytest.FixtureRequest) -> Confinement:
    """Each way to run code."""
    return available(request)


@pytest.fixture(params=["bubblewrap", "namespaces"])
def jail(request: pytest.FixtureRequest) -> Confinement:
    """Each way to confine code."""
    return available(request)


def available(request: pytest.FixtureRequest) -> Confinement:
    found: Confinement = request.param
    if reason := missing(found):
        pytest.skip(f"{found}: {reason}")
    return found


@pytest.fixture
def gone() -> Callable[[str], bool]:
    """gone(mark): whether the processes with a mark in their command line end within some seconds."""

    def ended(mark: str) -> bool:
        limit = time.monotonic() + 10
        while processes_with(mark):
            if time.monotonic() > limit:
                return False
            time.sleep(0.02)
        return True

    return ended


def processes_with(mark: str) -> list[str]:
    """The numbers of the processes that have a mark in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(path.parent.name)
        except OSError:
            continue
    return found
