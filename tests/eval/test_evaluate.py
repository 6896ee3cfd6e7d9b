"""Samples are drawn seed by seed and judged beside that; results come in order, as soon as they are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.policy import PRESETS, Policy, retry_policy
from diffucli.eval.evaluate import Writer, evaluate, solver
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, RepairProblem, Sample, judge
from diffucli.eval.report import group_reports
from diffucli.events import Finished, Started
from diffucli.tasks.fill import DEFAULT_HOLE_TOKENS
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.decode.sample import Constraints
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


class Scripted:
    """In place of the loop: writes the texts one after the other, or that of the seed; a run has 4 forwards in 0.25 s.

    canvases, policies: what each run was given.
    """

    def __init__(self, checkpoint: Checkpoint, *texts: str, by_seed: bool = False) -> None:
        self.words, self.texts, self.by_seed = checkpoint.tokenizer, texts, by_seed
        self.canvases: list[str] = []
        self.policies: list[Policy] = []

    def __call__(self, canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
        text = self.texts[policy.seed if self.by_seed else len(self.policies)]
        self.canvases.append(self.words.decode(canvas.tokens.tolist()))
        self.policies.append(policy)
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        ids, start = [*self.words.encode(text, special=True), *[self.words.pad] * 3], canvas.holes[0].start
        canvas.commit(range(start, start + len(ids)), ids)
        yield (finished := Finished(tuple(canvas.tokens.tolist()), "end", 4, 0.25, canvas.spans))
        return finished


@pytest.fixture
def padding(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint that pads the holes it fills."""
    return replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))


def test_a_sample_is_the_answer_by_the_seed(checkpoint: Checkpoint) -> None:
    decode = Scripted(checkpoint, "x = 1\n<|im_end|>", "y = 2\n<|im_end|>", by_seed=True)
    solve = solver(Writer(checkpoint, BALANCED, decode))
    samples = [solve(PROBLEMS[0], seed) for seed in (0, 1)]
    assert [(s.text, s.nfe, s.seconds) for s in samples] == [("x = 1\n", 4, 0.25), ("y = 2\n", 4, 0.25)]
    assert samples[0].tokens == len(checkpoint.tokenizer.encode("x = 1\n")), "what ends and pads it is no text"
    assert "add 0" in decode.canvases[0]


def test_a_hole_is_filled_from_both_sides(padding: Checkpoint) -> None:
    decode = Scripted(padding, "x = 1<|dlm_pad|>", "y = 2<|dlm_pad|>", by_seed=True)
    sample = solver(Writer(padding, BALANCED, decode))(FillProblem("g", "a = 0\n", "y = 2", "\nb = 1\n"), 1)
    assert (sample.text, sample.nfe, sample.seconds) == ("y = 2", 4, 0.25)
    assert sample.tokens == len(padding.tokenizer.encode("y = 2"))
    assert decode.canvases == [f"a = 0\n{'<|mask|>' * DEFAULT_HOLE_TOKENS}\nb = 1\n"]


def test_a_hole_has_the_length_that_a_writer_is_given(padding: Checkpoint) -> None:
    decode = Scripted(padding, "y = 2")
    writer = Writer(padding, BALANCED, decode, length=(9, 9))
    assert solver(writer)(FillProblem("g", "a = 0\n", "y = 2", "\nb = 1\n"), 0).text.startswith("y = 2")
    assert decode.canvases == [f"a = 0\n{'<|mask|>' * 9}\nb = 1\n"]


def test_the_model_does_not_see_what_stood_in_a_hole_nor_is_its_text_judged_by_it(padding: Checkpoint) -> None:
    """The text is refused or not as for `???` in a file, whatever stood there."""
    decode = Scripted(padding, *["y = 2<|dlm_pad|>"] * 4)
    for expected in ("z = 3", "z = = 3"):
        sample = solver(Writer(padding, BALANCED, decode))(FillProblem("g", "a = 0\n", expected, "\nb = 1\n"), 0)
        assert (sample.text, sample.refused) == ("y = 2", False)
    assert len(set(decode.canvases)) == 1


def test_a_broken_program_is_mended_as_by_the_command_and_is_the_sample(padding: Checkpoint) -> None:
    broken, original = "a = 0\nx = (1\nb = 2\n", "a = 0\nx = (1)\nb = 2\n"
    decode = Scripted(padding, "x = (1)<|dlm_pad|>")
    sample = solver(Writer(padding, BALANCED, decode))(RepairProblem("g", broken, original, ""), 0)
    assert (sample.text, sample.nfe, sample.refused) == (original, 4, False)
    assert decode.canvases[0].startswith("a = 0\n")
    assert decode.canvases[0].endswith("\nb = 2\n")


def test_what_a_command_would_refuse_is_marked(padding: Checkpoint) -> None:
    decode = Scripted(padding, "x = (<|dlm_pad|>", "x = [<|dlm_pad|>")
    sample = solver(Writer(padding, BALANCED, decode))(FillProblem("g", "a = 0\n", "z = 3", "\nb = 1\n"), 0)
    assert (sample.text, sample.refused) == ("x = [", True)


def test_seeds_draw_different_samples_and_the_same_again(checkpoint: Checkpoint) -> None:
    policy = replace(BALANCED, sampling=replace(BALANCED.sampling, temperature=2.0), budget=2)
    solve = solver(Writer(checkpoint, policy))
    first, second, again = (solve(PROBLEMS[0], seed) for seed in (1, 2, 1))
    assert first.text == again.text
    assert first.text != second.text
    assert first.nfe == 2


@pytest.mark.parametrize("refused", [BROKEN, EMPTY], ids=["broken", "empty"])
def test_an_answer_that_is_no_code_is_written_again_by_the_retry_policy_and_both_count(
    checkpoint: Checkpoint, refused: str
) -> None:
    decode = Scripted(checkpoint, refused, RIGHT)
    sample = solver(Writer(checkpoint, BALANCED, decode))(PROBLEMS[0], 7)
    assert (sample.text, sample.nfe, sample.seconds) == ("x = 1\n", 8, 0.5)
    assert sample.tokens == len(checkpoint.tokenizer.encode("x = 1\n")), "of the text that is judged alone"
    seeded = replace(BALANCED, seed=7)
    assert decode.policies == [seeded, retry_policy(seeded)]
    assert decode.canvases[0] == decode.canvases[1]


def test_a_filled_hole_that_breaks_the_code_is_written_again_and_both_count(padding: Checkpoint) -> None:
    decode = Scripted(padding, "x = (<|dlm_pad|>", "y = 2<|dlm_pad|>")
    sample = solver(Writer(padding, BALANCED, decode))(FillProblem("g", "a = 0\n", "z = 3", "\nb = 1\n"), 0)
    assert (sample.text, sample.nfe, sample.seconds) == ("y = 2", 8, 0.5)


def test_only_the_errors_that_a_fill_adds_are_held_against_it(padding: Checkpoint) -> None:
    decode = Scripted(padding, "y = 2<|dlm_pad|>")
    sample = solver(Writer(padding, BALANCED, decode))(FillProblem("g", "a = 0\n", "z = 3", "\nb = = 1\n"), 0)
    assert (sample.text, sample.nfe) == ("y = 2", 4)


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(EMPTY, BROKEN, "def f(:\n"), (BROKEN, EMPTY, "")], ids=["broken", "empty"]
)
def test_of_two_attempts_that_are_no_code_the_second_is_judged(
    checkpoint: Checkpoint, first: str, second: str, kept: str
) -> None:
    sample = solver(Writer(checkpoint, BALANCED, Scripted(checkpoint, first, second)))(PROBLEMS[0], 0)
    assert (sample.text, sample.nfe) == (kept, 8)


@pytest.mark.parametrize("policy", [PRESETS["exact"], replace(BALANCED, budget=9)], ids=["schedule", "budget"])
def test_a_number_of_steps_that_was_given_is_kept_to(checkpoint: Checkpoint, policy: Policy) -> None:
    sample = solver(Writer(checkpoint, policy, Scripted(checkpoint, BROKEN)))(PROBLEMS[0], 0)
    assert (sample.text, sample.nfe, sample.seconds) == ("def f(:\n", 4, 0.25)


def test_an_answer_has_the_default_number_of_masks_unless_another_is_given(checkpoint: Checkpoint) -> None:
    writer = Writer(checkpoint, BALANCED, Scripted(checkpoint, RIGHT, RIGHT))
    results = [pull(writer.answer("do it", length=length)) for length in (None, 20)]
    assert [each.chosen.written.masks for each in results] == [DEFAULT_ANSWER_TOKENS, 20]


def test_an_answer_that_is_not_verified_is_written_once(checkpoint: Checkpoint) -> None:
    result = pull(Writer(checkpoint, BALANCED, Scripted(checkpoint, BROKEN)).answer("do it", verify="off"))
    assert (result.text, result.nfe, len(result.attempts)) == ("def f(:\n", 4, 1)
