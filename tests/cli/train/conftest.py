"""Files that the tests of `diffu train` train on, small enough for seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

REWARDS = """\
def short(prompts, completions, **columns):
    return [-len(each) for each in completions]


def broken(prompts, completions, **columns):
    return [float("nan") for each in completions]
"""
TASKS = [
    {"prompt": f"write number {i}", "tests": ["assert candidate(1) == 2", "assert candidate(2) == 3"]} for i in range(3)
]
CODE = [
    {"prompt": "add one to a number", "completion": "def add_one(n):\n    return n + 1\n"},
    {"text": "def area(width, height):\n    return width * height\n"},
    {"text": "def twice(x):\n    return 2 * x\n", "holes": [[25, 30]]},
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the test, with tasks.jsonl, code.jsonl and rewards.py."""
    here = tmp_path / "work"
    (here / "rewards.py").write_text(REWARDS)
    for name, rows in (("tasks.jsonl", TASKS), ("code.jsonl", CODE)):
        (here / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return here
