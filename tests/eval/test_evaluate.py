"""Samples are drawn seed by seed and judged beside that; results come in order, as soon as they are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.policy import PRESETS
from diffucli.eval.evaluate import evaluate, solver
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, Sample, judge
from diffucli.eval.report import group_reports
from diffucli.events import Finished
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Gap, Run

GOOD, BAD = "def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a - b\n"
SLOW, QUITS = "def add(a, b):\n    while True:\n        pass\n", "raise SystemExit(0)\n"
TESTS = "assert candidate(2, 2) == 4\n"
PROBLEMS = [CodeProblem("code", f"add {i}", TESTS) for i in range(3)]


def writes(text: str) -> Sample:
    return Sample(text, nfe=1, tokens=2, seconds=0.1)


def always(problem: Problem, text: str) -> Judgement:
    return Judgement(passed=True, parses=True, reason=text)


def test_a_known_solver_has_exact_rates() -> None:
    """Right for the first problem; for the others by seed."""
    texts = {"add 0": [GOOD, GOOD], "add 1": [GOOD, BAD], "add 2": [SLOW, QUITS]}
    problems = [*PROBLEMS, FillProblem("line", "x = ", "1", "\n")]

    def solve(problem: Problem, seed: int) -> Sample:
        return writes(texts[problem.request][seed] if isinstance(problem, CodeProblem) else "12"[seed])

    found = list(evaluate(problems, solve, seeds=range(2), judge=partial(judge, seconds=1.0)))
    code, line = group_reports(found)
    assert (code.passes[1], line.passes[1]) == (0.5, 0.5)
    assert [r.judgement.reason for r in found] == ["ok", "ok", "ok", "error", "timeout", "exit", "ok", "differs"]
    assert [(r.index, r.seed) for r in found] == [(i, seed) for i in range(4) for seed in range(2)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_however_long_judging_takes(workers: int) -> None:
    first = Event()

    def judged(problem: Problem, text: str) -> Judgement:
        if text == "add 0" and workers > 1:
            assert first.wait(5)
        if text == "add 1":
            first.set()
        return always(problem, text)

    found = evaluate(PROBLEMS, lambda p, _: writes(p.request), seeds=[7], workers=workers, judge=judged)  # type: ignore[union-attr]
    assert [r.judgement.reason for r in found] == ["add 0", "add 1", "add 2"]


def test_nothing_is_solved_before_it_is_asked_for() -> None:
    solved: list[int] = []

    def solve(problem: Problem, seed: int) -> Sample:
        solved.append(seed)
        return writes("x")

    results = evaluate(PROBLEMS, solve, seeds=range(100), workers=1, judge=always)
    assert solved == []
    list(islice(results, 3))
    assert len(solved) <= 3 + 2, "at most the workers' share ahead"
    results.close()  # type: ignore[attr-defined]


def test_an_error_of_a_solver_comes_out() -> None:
    def solve(problem: Problem, seed: int) -> Sample:
        raise LookupError

    with pytest.raises(LookupError):
        list(evaluate(PROBLEMS, solve, seeds=[0], judge=always))


class Scripted(Engine):
    """Writes a text by the seed instead of asking a network."""

    def _end(self, run: Run) -> Run:
        words, (hole,) = self.checkpoint.tokenizer, run.layout.holes
        ids = words.encode(["x = 1\n<|im_end|>", "y = 2<|dlm_pad|>"][self.policy.seed], special=True)
        held = [*ids, *[words.pad] * 3, *[words.mask] * (len(hole) - len(ids) - 3)]
        tokens = (*run.layout.tokens[: hole.start], *held, *run.layout.tokens[hole.stop :])
        return replace(run, events=iter([Finished(tokens, "end", 4, 0.25)]))

    def generate(self, query: str, *, tag: str = "python", length: int | None = None) -> Run:
        return self._end(Engine.generate(self, query, tag=tag, length=length))

    def fill(self, parts: list[str], gaps: list[Gap], *, query: str | None = None, tag: str = "python") -> Run:  # type: ignore[override]
        return self._end(Engine.fill(self, parts, gaps, query=query, tag=tag))


def test_a_sample_is_the_engines_answer_by_the_seed(checkpoint: Checkpoint) -> None:
    solve = solver(Scripted(checkpoint, PRESETS["balanced"]))
    sample = solve(PROBLEMS[0], 0)
    assert (sample.text, sample.nfe, sample.seconds) == ("x = 1\n", 4, 0.25)
    assert sample.tokens == len(checkpoint.tokenizer.encode("x = 1\n")), "what ends and pads it is no text"


def test_a_hole_is_filled_from_both_sides(checkpoint: Checkpoint) -> None:
    padding = replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))
    solve = solver(Scripted(padding, PRESETS["balanced"]))
    sample = solve(FillProblem("g", "a = 0\n", "y = 2", "\nb = 1\n"), 1)
    assert sample.text == "y = 2"
    assert sample.tokens == len(checkpoint.tokenizer.encode("y = 2"))


def test_seeds_draw_different_samples_and_the_same_again(checkpoint: Checkpoint) -> None:
    policy = replace(PRESETS["balanced"], sampling=replace(PRESETS["balanced"].sampling, temperature=2.0), budget=2)
    solve = solver(Engine(checkpoint, policy))
    first, second, again = (solve(PROBLEMS[0], seed) for seed in (1, 2, 1))
    assert first.text == again.text
    assert first.text != second.text
    assert first.nfe == 2
