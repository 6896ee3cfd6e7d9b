"""Everyday holes: small functions of scripts and applications, one hole each, read from everyday.toml.

No training data may hold them. Ordinary functions are alike, though: some have the shape of a training template, which
is to say that they differ in names and literals alone. These are a group of their own. Does not know models, nor how an
answer is judged.
"""

from __future__ import annotations

import tomllib
from importlib import resources

from diffucli.edit.holes import HOLE
from diffucli.eval.problems import FillProblem

NEW, TRAINED = "everyday hole, new shape", "everyday hole, trained shape"  # groups


def holes(group: str) -> list[FillProblem]:
    """Those of a group, in the order of the file."""
    text = (resources.files(__package__) / "everyday.toml").read_text(encoding="utf-8")
    found = [_problem(**entry) for entry in tomllib.loads(text)["hole"]]
    return [problem for problem in found if problem.group == group]


def _problem(*, name: str, code: str, text: str, tests: str, shape_trained: bool = False) -> FillProblem:
    before, hole, after = code.partition(HOLE)
    assert hole, f"{name} has no hole"
    return FillProblem(TRAINED if shape_trained else NEW, before, text, after, tests)
