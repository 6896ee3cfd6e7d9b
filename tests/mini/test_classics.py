"""The classic tasks: right solutions, phrases of their own, and a split that is the same everywhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest

from diffucli.mini import classics as module
from diffucli.mini.classics import (
    ClassicTask,
    classics,
    draw_request,
    held_out_requests,
    is_held_out,
    programs,
)
from diffucli.mini.wording import all_requests, normalize
from diffucli.model.tokenizer import read
from diffucli.tasks import prompt
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

MINI = Path(str(resources.files("diffucli") / "models" / "mini"))

# One child for all of them: a sandbox each would take a minute. `candidate` is bound as the sandbox binds it.
RUNNER = """
import ast, json, sys
for name, code, tests in json.load(sys.stdin):
    names = {"__name__": "candidate"}
    try:
        exec(compile(code, name, "exec"), names)
        last = [n.name for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))][-1]
        names["candidate"] = names[last]
        exec(compile(tests, name, "exec"), names)
    except BaseException:
        print(name)
print("end")
"""


def failures(jobs: list[tuple[str, str, str]]) -> list[str]:
    """The names of the jobs (name, code, tests) that fail."""
    command = [sys.executable, "-I", "-c", RUNNER]
    done = subprocess.run(command, input=json.dumps(jobs), text=True, capture_output=True, timeout=60, check=True)
    *failed, end = done.stdout.splitlines()
    assert end == "end"
    return failed


def test_every_solution_passes_the_tests_of_its_task() -> None:
    jobs = [(task.name, code, task.tests) for task in classics() for code in task.solutions]
    assert failures(jobs) == []
    assert len(jobs) >= 300


def test_programs_are_long_and_fit_into_a_canvas() -> None:
    """240 to 252 tokens of mini's vocabulary, in a canvas of 256."""
    tokenizer = read(MINI)
    assert len(programs()) == 10
    for task in programs():
        content = [*tokenizer.encode(task.solutions[0]), *prompt.closing(tokenizer, "a request")]
        assert 230 < len(content) <= DEFAULT_ANSWER_TOKENS, task.name


def test_tests_notice_the_solution_of_another_task() -> None:
    tasks = classics()[::6]
    wrong = [(task.name, other.solutions[0], task.tests) for other, task in pairwise(tasks)]
    assert len(failures(wrong)) >= len(wrong) - 2, "two ways to sort pass each other's"


def test_names_and_phrases_are_unique() -> None:
    phrases = Counter(phrase for task in classics() for phrase in (*task.nouns, *task.verbs))
    assert [phrase for phrase, times in phrases.items() if times > 1] == []
    assert len({task.name for task in classics()}) == len(classics())


def test_phrases_are_plain_words_and_nouns_stand_after_write() -> None:
    phrases = [phrase for task in classics() for phrase in (*task.nouns, *task.verbs)]
    assert [p for p in phrases if p != p.strip() or "{" in p or "  " in p or p.endswith(".") or not p.isascii()] == []


def test_the_split_is_the_same_on_every_machine() -> None:
    assert [i for i in range(30) if is_held_out(f"key {i}")] == [10, 28]
    assert sum(map(is_held_out, map(str, range(6000)))) == pytest.approx(1000, abs=120)


def test_a_phrase_is_either_trained_or_held_out() -> None:
    for task in classics():
        trained, held = task.phrases(held_out=False), task.phrases(held_out=True)
        assert not set(trained) & set(held)
        assert {phrase for phrase, _ in trained + held} == {*task.nouns, *task.verbs}


def test_every_task_keeps_enough_trained_phrases_and_its_plainest_ones() -> None:
    for task in classics():
        trained = {phrase for phrase, _ in task.phrases(held_out=False)}
        assert len(trained) >= 5, task.name
        assert {task.nouns[0], task.verbs[0]} <= trained
    assert sum(len(task.phrases(held_out=False)) < 6 for task in classics()) <= 5


def test_the_example_of_the_documents_is_trained() -> None:
    quicksort = next(task for task in classics() if task.name == "quicksort")
    assert ("a quicksort", False) in quicksort.phrases(held_out=False)


def test_requests_ask_for_every_task_in_words_of_their_own_but_never_in_held_out_ones() -> None:
    rng = random.Random(0)
    drawn = [draw_request(rng) for _ in range(4000)]
    assert len({task.name for task, _ in drawn}) == len(classics())
    assert not {normalize(text) for _, text in drawn} & held_out_requests()
    usual = {t for task in classics() for p, verb in task.phrases(held_out=False) for t in all_requests(p, verb=verb)}
    assert 0.1 < sum(normalize(text) not in usual for _, text in drawn) / len(drawn) < 0.6


def test_a_task_needs_all_its_fields() -> None:
    with pytest.raises(KeyError):
        module._read({"name": "x"})
    task = module._read({"name": "x", "nouns": ["a"], "verbs": ["b"], "solutions": ["c"], "tests": "d"})
    assert task == ClassicTask("x", ("a",), ("b",), ("c",), "d")
