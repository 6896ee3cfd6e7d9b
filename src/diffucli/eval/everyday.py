"""Everyday holes: small functions of scripts and applications, one hole each, read from everyday.toml.

No training data may hold them. Does not know models, nor how an answer is judged.
"""

from __future__ import annotations

import tomllib
from importlib import resources

from diffucli.eval.problems import FillProblem

GROUP, HOLE = "everyday hole", "???"


def holes() -> list[FillProblem]:
    """All of them, in the order of the file."""
    text = (resources.files(__package__) / "everyday.toml").read_text(encoding="utf-8")
    return [_problem(**entry) for entry in tomllib.loads(text)["hole"]]


def _problem(*, name: str, code: str, text: str, tests: str) -> FillProblem:
    before, hole, after = code.partition(HOLE)
    assert hole, f"{name} has no hole"
    return FillProblem(GROUP, before, text, after, tests)
