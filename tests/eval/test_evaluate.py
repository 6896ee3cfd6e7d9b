"""Samples are drawn seed by seed and judged beside that; results come in order, as soon as they are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.policy import PRESETS, Policy
from diffucli.eval.evaluate import Writer, evaluate, solver
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, RepairProblem, Sample, judge
from diffucli.eval.report import group_reports
from diffucli.tasks.engine import Effort
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from tests.conftest import Script

    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.decode.sample import Constraints
    from diffucli.events import Finished
    from diffucli.model.load import Checkpoint

BALANCED = PRESETS["balanced"]
BROKEN, EMPTY, RIGHT = "def f(:\n<|im_end|>", "<|im_end|>", "x = 1\n<|im_end|>"

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


FILLING = FillProblem("g", "a = 0\n", "z = 3", "\nb = 1\n")


class BySeed:
    """Decodes as a script of its own for each seed says."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts

    def __call__(self, canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
        return self.scripts[policy.seed](canvas, policy, constraints)


@pytest.fixture
def padding(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint that pads the holes it fills."""
    return replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))


def test_a_sample_is_the_answer_by_the_seed(checkpoint: Checkpoint, script: type[Script]) -> None:
    decode = BySeed(*(script(checkpoint, f"{name} = 1\n<|im_end|><|dlm_pad|>") for name in "xy"))
    solve = solver(Writer(checkpoint, BALANCED, decode))
    samples = [solve(PROBLEMS[0], seed) for seed in (0, 1)]
    assert [(s.text, s.nfe) for s in samples] == [("x = 1\n", 3), ("y = 1\n", 3)], "two, and one to read it again"
    assert samples[0].tokens == len(checkpoint.tokenizer.encode("x = 1\n")), "what ends and pads it is no text"
    assert samples[0].seconds > 0
    assert "add 0" in decode.scripts[0].canvases[0]


def test_a_hole_is_filled_from_both_sides_in_several_lengths(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    sample = solver(Writer(padding, BALANCED, decode))(FILLING, 1)
    assert sample.text == "y = 2"
    assert sample.tokens == len(padding.tokenizer.encode("y = 2"))
    assert sample.nfe > 2 * len(decode.canvases) > 2, "all lengths count, and what was asked of their ends"
    assert all(canvas.startswith("a = 0\n<|mask|>") for canvas in decode.canvases)
    assert all(canvas.endswith("<|mask|>\nb = 1\n") for canvas in decode.canvases)


def test_a_hole_has_the_length_that_a_writer_is_given(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    sample = solver(Writer(padding, BALANCED, decode, length=(9, 9)))(FILLING, 0)
    assert (sample.text, sample.nfe) == ("y = 2", 4)
    assert decode.canvases == [f"a = 0\n{'<|mask|>' * 9}\nb = 1\n"]


def test_the_model_does_not_see_what_stood_in_a_hole_nor_is_its_text_judged_by_it(
    padding: Checkpoint, script: type[Script]
) -> None:
    """The text is refused or not as for `???` in a file, whatever stood there."""
    decodes = [script(padding, "y = 2") for _ in range(2)]
    for decode, expected in zip(decodes, ("z = 3", "z = = 3"), strict=True):
        sample = solver(Writer(padding, BALANCED, decode))(replace(FILLING, expected=expected), 0)
        assert (sample.text, sample.refused) == ("y = 2", False)
    assert decodes[0].canvases == decodes[1].canvases


def test_a_broken_program_is_mended_as_by_the_command_and_is_the_sample(
    padding: Checkpoint, script: type[Script]
) -> None:
    broken, original = "a = 0\nx = (1\nb = 2\n", "a = 0\nx = (1)\nb = 2\n"
    decode = script(padding, "x = (1)", repair=")")
    sample = solver(Writer(padding, BALANCED, decode))(RepairProblem("g", broken, original, ""), 0)
    assert (sample.text, sample.refused) == (original, False)
    seen = [*decode.canvases, *decode.repairs]
    assert seen
    assert all(canvas.startswith("a = 0\n") and canvas.endswith("\nb = 2\n") for canvas in seen)


def test_what_a_command_would_refuse_is_marked(padding: Checkpoint, script: type[Script]) -> None:
    sample = solver(Writer(padding, BALANCED, script(padding, "x = ["), length=(4, 4)))(FILLING, 0)
    assert (sample.text, sample.refused) == ("x = [", True)


def test_seeds_draw_different_samples_and_the_same_again(checkpoint: Checkpoint) -> None:
    policy = replace(BALANCED, sampling=replace(BALANCED.sampling, temperature=2.0), budget=2)
    solve = solver(Writer(checkpoint, policy))
    first, second, again = (solve(PROBLEMS[0], seed) for seed in (1, 2, 1))
    assert first.text == again.text
    assert first.text != second.text
    assert first.nfe == 3


def test_an_answer_that_does_not_parse_is_repaired_and_all_versions_count(
    checkpoint: Checkpoint, script: type[Script]
) -> None:
    decode = script(checkpoint, "x = (1\n<|im_end|>", repair=")")
    sample = solver(Writer(checkpoint, BALANCED, decode))(PROBLEMS[0], 7)
    assert (sample.text, sample.refused) == ("x = (1)\n", False)
    assert sample.nfe == 3 + 2 * len(decode.repairs)
    assert sample.tokens == len(checkpoint.tokenizer.encode("x = (1\n")) + 1, "of the text that is judged alone"
    assert decode.policies == [replace(BALANCED, seed=7)]


def test_a_filled_hole_that_breaks_the_code_is_repaired(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "x = f(1", repair=")")
    sample = solver(Writer(padding, BALANCED, decode, length=(6, 6)))(FILLING, 0)
    assert (sample.text, sample.refused) == ("x = f(1)", False)


def test_only_the_errors_that_a_fill_adds_are_held_against_it(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    writer = Writer(padding, BALANCED, decode, length=(9, 9))
    sample = solver(writer)(replace(FILLING, after="\nb = = 1\n"), 0)
    assert (sample.text, sample.nfe) == ("y = 2", 4)


@pytest.mark.parametrize(("text", "kept"), [(EMPTY, ""), (BROKEN, "def f(:\n")], ids=["empty", "broken"])
def test_what_cannot_be_repaired_is_judged_as_it_is(
    checkpoint: Checkpoint, script: type[Script], text: str, kept: str
) -> None:
    sample = solver(Writer(checkpoint, BALANCED, script(checkpoint, text)))(PROBLEMS[0], 0)
    assert (sample.text, sample.refused) == (kept, True)


@pytest.mark.parametrize("steps", [True, False], ids=["budget", "effort"])
def test_nothing_is_repaired_where_the_steps_or_the_effort_do_not_allow_it(
    checkpoint: Checkpoint, script: type[Script], steps: bool
) -> None:
    decode = script(checkpoint, BROKEN)
    policy = replace(BALANCED, budget=9) if steps else BALANCED
    writer = Writer(checkpoint, policy, decode, effort=Effort() if steps else Effort(repair=0))
    sample = solver(writer)(PROBLEMS[0], 0)
    assert (sample.text, sample.nfe, decode.repairs) == ("def f(:\n", 3, [])


def test_an_answer_has_the_default_number_of_masks_unless_another_is_given(
    checkpoint: Checkpoint, script: type[Script]
) -> None:
    writer = Writer(checkpoint, BALANCED, script(checkpoint, RIGHT))
    results = [pull(writer.answer("do it", length=length)) for length in (None, 20)]
    assert [each.chosen.written.masks for each in results] == [DEFAULT_ANSWER_TOKENS, 20]


def test_an_answer_that_is_not_verified_is_written_once(checkpoint: Checkpoint, script: type[Script]) -> None:
    result = pull(Writer(checkpoint, BALANCED, script(checkpoint, BROKEN)).answer("do it", verify="off"))
    assert (result.text, result.nfe, len(result.attempts)) == ("def f(:\n", 3, 1)
