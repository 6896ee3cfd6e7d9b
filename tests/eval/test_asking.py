"""Samples are rows of a batch: what they ask, how long a hole is, and what becomes of them as by the commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.batch.rows import FillRow, GenRow
from diffucli.batch.worker import RowWorker, WrittenRow
from diffucli.batch.worker import written as as_row
from diffucli.bench.writers import Writer
from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS, Policy
from diffucli.eval.asking import WantedSample, key_of, row_of, sample_of, samples, wanted
from diffucli.eval.judging import AUTO
from diffucli.eval.lengths import LENGTHS
from diffucli.eval.problems import CodeProblem, FillProblem, Problem, RepairProblem, Sample
from diffucli.executors.executor import Failure
from diffucli.tasks.doubt import UNKNOWN
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.tasks.write import Decode, default_decode
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.conftest import Script

    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.decode.sample import Constraints
    from diffucli.events import Finished
    from diffucli.model.load import Checkpoint

BALANCED = PRESETS["balanced"]
BROKEN_TEXT, EMPTY = "def f(:\n<|im_end|>", "<|im_end|>"
REQUEST = CodeProblem("code", "add 0", "")

CODE, HOLE = CodeProblem("g", "add two", "t"), FillProblem("g", "a = ", "b + c", "\n")
BROKEN = RepairProblem("g", "x = (\n", "x = ()\n", "t")


def test_a_problem_is_a_row_of_its_kind(checkpoint: Checkpoint) -> None:
    tokenizer = checkpoint.tokenizer
    assert row_of(WantedSample(0, CODE, 0), None, answer=9) == GenRow("add two", length=9)
    assert row_of(WantedSample(0, HOLE, 0), None, answer=9) == FillRow("a = ", "\n")
    assert row_of(WantedSample(0, HOLE, 0, "16"), None, answer=9) == FillRow("a = ", "\n", length=(16, 16))
    true = len(tokenizer.encode("b + c"))
    assert row_of(WantedSample(0, HOLE, 0, "oracle"), tokenizer, answer=9) == FillRow("a = ", "\n", length=(true, true))
    assert row_of(WantedSample(0, BROKEN, 0), None, answer=9) == FillRow("x = (\n", regions=(":errors",))


class Known:
    """An executor that knows the outcomes, and tells them backwards."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = outcomes

    def run(self, worker: Any, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        del worker
        pairs = list(zip(items, self.outcomes, strict=True))
        yield from ((key, outcome) for (key, _), outcome in reversed(pairs))


def written(text: str, piece: str, refusal: str = "") -> WrittenRow:
    return WrittenRow(text, (piece,), True, True, refusal, "", 2, 3.0, 0.5, UNKNOWN)


def test_samples_come_as_they_are_written_and_a_failure_has_its_reason() -> None:
    asked = [WantedSample(0, CODE, 4), WantedSample(1, HOLE, 4), WantedSample(2, BROKEN, 4), WantedSample(3, CODE, 4)]
    outcomes = written("x\n", "x\n"), written("a = b\n", "b", "no"), written("x = ()\n", "("), Failure("too long")
    found = list(samples(Known(*outcomes), None, asked, answer=9))  # type: ignore[arg-type]
    assert [each.index for each in found] == [3, 2, 1, 0]
    assert [each.sample.text for each in found] == ["", "x = ()\n", "b", "x\n"]
    assert [each.sample.refused for each in found] == [True, False, True, False]
    assert [each.fault for each in found] == ["too long", "", "", ""]
    assert len({key_of(each) for each in asked}) == 4


def test_every_length_problem_and_seed_is_wanted_and_a_true_length_is_the_tokenizers(golden: Path) -> None:
    found = wanted([HOLE, HOLE], seeds=[3, 4], lengths=LENGTHS)
    assert [(each.length, each.index, each.seed) for each in found] == [
        (length, i, seed) for length in LENGTHS for i in range(2) for seed in (3, 4)
    ]
    given = []

    class Watched(Known):
        def run(self, worker: Any, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
            given.extend(row.asks.length for _, row in items)
            yield from ()

    list(samples(Watched(), RowWorker(str(golden), BALANCED, DEFAULT_EFFORT), found[:4], answer=9))
    assert len(set(given)) == 1
    assert given[0][0] == given[0][1] > 1


FILLING = FillProblem("g", "a = 0\n", "z = 3", "\nb = 1\n")


def solve(
    checkpoint: Checkpoint,
    problem: Problem,
    seed: int,
    *,
    decode: Decode = default_decode,
    policy: Policy = BALANCED,
    effort: Effort = DEFAULT_EFFORT,
    length: int | None = None,
) -> Sample:
    """The sample that a worker would write. length: of a hole, in tokens."""
    wanted = WantedSample(0, problem, seed, AUTO if length is None else str(length))
    row = row_of(wanted, None, answer=DEFAULT_ANSWER_TOKENS)
    run = Writer(checkpoint, replace(policy, seed=seed), decode, effort).run(row)
    return sample_of(problem, as_row(pull(alone(checkpoint.network, run))))


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
    samples = [solve(checkpoint, REQUEST, seed, decode=decode) for seed in (0, 1)]
    assert [(s.text, s.nfe) for s in samples] == [("x = 1\n", 3), ("y = 1\n", 3)], "two, and one to read it again"
    assert samples[0].tokens == len(checkpoint.tokenizer.encode("x = 1\n")), "what ends and pads it is no text"
    assert samples[0].seconds > 0
    assert "add 0" in decode.scripts[0].canvases[0]


def test_a_hole_is_filled_from_both_sides_in_several_lengths(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    sample = solve(padding, FILLING, 1, decode=decode)
    assert sample.text == "y = 2"
    assert sample.tokens == len(padding.tokenizer.encode("y = 2"))
    assert sample.nfe > 2 * len(decode.canvases) > 2, "all lengths count, and what was asked of their ends"
    assert all(canvas.startswith("a = 0\n<|mask|>") for canvas in decode.canvases)
    assert all(canvas.endswith("<|mask|>\nb = 1\n") for canvas in decode.canvases)


def test_a_hole_has_the_length_that_it_is_given(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    sample = solve(padding, FILLING, 0, decode=decode, length=9)
    assert (sample.text, sample.nfe) == ("y = 2", 4)
    assert decode.canvases == [f"a = 0\n{'<|mask|>' * 9}\nb = 1\n"]


def test_the_model_does_not_see_what_stood_in_a_hole_nor_is_its_text_judged_by_it(
    padding: Checkpoint, script: type[Script]
) -> None:
    """The text is refused or not as for `???` in a file, whatever stood there."""
    decodes = [script(padding, "y = 2") for _ in range(2)]
    for decode, expected in zip(decodes, ("z = 3", "z = = 3"), strict=True):
        sample = solve(padding, replace(FILLING, expected=expected), 0, decode=decode)
        assert (sample.text, sample.refused) == ("y = 2", False)
    assert decodes[0].canvases == decodes[1].canvases


def test_a_broken_program_is_mended_as_by_the_command_and_is_the_sample(
    padding: Checkpoint, script: type[Script]
) -> None:
    broken, original = "a = 0\nx = (1\nb = 2\n", "a = 0\nx = (1)\nb = 2\n"
    decode = script(padding, "x = (1)", repair=")")
    sample = solve(padding, RepairProblem("g", broken, original, ""), 0, decode=decode)
    assert (sample.text, sample.refused) == (original, False)
    seen = [*decode.canvases, *decode.repairs]
    assert seen
    assert all(canvas.startswith("a = 0\n") and canvas.endswith("\nb = 2\n") for canvas in seen)


def test_what_a_command_would_refuse_is_marked(padding: Checkpoint, script: type[Script]) -> None:
    sample = solve(padding, FILLING, 0, decode=script(padding, "x = ["), length=4)
    assert (sample.text, sample.refused) == ("x = [", True)


def test_seeds_draw_different_samples_and_the_same_again(checkpoint: Checkpoint) -> None:
    policy = replace(BALANCED, sampling=replace(BALANCED.sampling, temperature=2.0), budget=2)
    first, second, again = (solve(checkpoint, REQUEST, seed, policy=policy) for seed in (1, 2, 1))
    assert first.text == again.text
    assert first.text != second.text
    assert first.nfe == 3


def test_an_answer_that_does_not_parse_is_repaired_and_all_versions_count(
    checkpoint: Checkpoint, script: type[Script]
) -> None:
    decode = script(checkpoint, "x = (1\n<|im_end|>", repair=")")
    sample = solve(checkpoint, REQUEST, 7, decode=decode)
    assert (sample.text, sample.refused) == ("x = (1)\n", False)
    assert sample.nfe == 3 + 2 * len(decode.repairs)
    assert sample.tokens == len(checkpoint.tokenizer.encode("x = (1\n")) + 1, "of the text that is judged alone"
    assert decode.policies == [replace(BALANCED, seed=7)]


def test_a_filled_hole_that_breaks_the_code_is_repaired(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "x = f(1", repair=")")
    sample = solve(padding, FILLING, 0, decode=decode, length=6)
    assert (sample.text, sample.refused) == ("x = f(1)", False)


def test_only_the_errors_that_a_fill_adds_are_held_against_it(padding: Checkpoint, script: type[Script]) -> None:
    decode = script(padding, "y = 2")
    sample = solve(padding, replace(FILLING, after="\nb = = 1\n"), 0, decode=decode, length=9)
    assert (sample.text, sample.nfe) == ("y = 2", 4)


@pytest.mark.parametrize(("text", "kept"), [(EMPTY, ""), (BROKEN_TEXT, "def f(:\n")], ids=["empty", "broken"])
def test_what_cannot_be_repaired_is_judged_as_it_is(
    checkpoint: Checkpoint, script: type[Script], text: str, kept: str
) -> None:
    sample = solve(checkpoint, REQUEST, 0, decode=script(checkpoint, text))
    assert (sample.text, sample.refused) == (kept, True)


@pytest.mark.parametrize("steps", [True, False], ids=["budget", "effort"])
def test_nothing_is_repaired_where_the_steps_or_the_effort_do_not_allow_it(
    checkpoint: Checkpoint, script: type[Script], steps: bool
) -> None:
    decode = script(checkpoint, BROKEN_TEXT)
    policy = replace(BALANCED, budget=9) if steps else BALANCED
    effort = Effort() if steps else Effort(repair=0)
    sample = solve(checkpoint, REQUEST, 0, decode=decode, policy=policy, effort=effort)
    assert (sample.text, sample.nfe, decode.repairs) == ("def f(:\n", 3, [])
