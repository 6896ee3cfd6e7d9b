"""The pipeline of every task: what a run wrote, one more attempt where it was refused, the best attempt of all."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.decode.canvas import Span
from diffucli.decode.policy import PRESETS, retry_policy
from diffucli.errors import UsageError
from diffucli.syntax.check import CheckResult, Diagnostic
from diffucli.tasks import engine
from diffucli.tasks.engine import Attempt, Result, RunOutput, attempt_and_retry, check_length, pick
from diffucli.tasks.prompt import Layout
from diffucli.tasks.verify import Check, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.decode.policy import Policy

POLICY = replace(PRESETS["balanced"], seed=7)
OUTPUT = RunOutput(((1, 2),), (True,), tokens=2, masks=8, masks_left=0, nfe=2.5, seconds=0.5)


def attempt(text: str, faults: int = 0, *, refused: bool = True) -> Attempt:
    """An attempt with so many syntax errors."""
    errors = tuple(Diagnostic(1, 1, "invalid syntax", 0, 1) for _ in range(faults))
    message = "does not parse" if faults else ""
    return Attempt(
        text, (text,), True, Check(CheckResult(True, errors), message, refused=refused and faults > 0), OUTPUT
    )


def retried(result_of: Callable[..., Any], golden: Any, attempts: list[Attempt], policy: Policy = POLICY, **more: Any):
    """The result of the attempts, one after the other, and the policies that they were made by."""
    policies, coming = [], iter(attempts)

    def once(policy: Policy):
        policies.append(policy)
        yield from ()
        return next(coming)

    checkpoint: Any = SimpleNamespace(folder=golden)
    return result_of(attempt_and_retry(checkpoint, once, policy, **more)), policies


def test_what_is_accepted_is_written_once(result_of, golden):
    result, policies = retried(result_of, golden, [attempt("x\n")], notes=("n",))
    assert (result.text, result.pieces, result.ended, result.ok) == ("x\n", ("x\n",), True, True)
    assert (policies, result.notes, result.seed, result.model) == ([POLICY], ("n",), 7, golden.name)
    assert (result.nfe, result.seconds) == (2.5, 0.5)


def test_what_is_refused_is_written_once_more_with_care_and_both_count(result_of, golden):
    result, policies = retried(result_of, golden, [attempt("x(", 1), attempt("x\n")], notes=["n"])
    assert policies == [POLICY, retry_policy(POLICY)]
    assert result.text == "x\n"
    assert (result.nfe, result.seconds, len(result.attempts)) == (5.0, 1.0, 2)
    assert result.notes == ("n", "the first text did not parse; it was written again with more care")
    assert result.policy == POLICY, "that of the first attempt"


def test_there_is_no_third_attempt(result_of, golden):
    result, policies = retried(result_of, golden, [attempt("a(", 2), attempt("b(", 1), attempt("c")])
    assert (result.text, len(policies)) == ("b(", 2)
    with pytest.raises(Refused) as refused:
        result.accepted()
    assert (refused.value.text, refused.value.check.faults) == ("b(", 1)


def test_what_is_only_warned_of_is_not_written_again(result_of, golden):
    result, policies = retried(result_of, golden, [attempt("a(", 1, refused=False)])
    assert (len(policies), result.ok, result.accepted()) == (1, False, result)


@pytest.mark.parametrize("policy", [PRESETS["exact"], replace(POLICY, budget=9)], ids=["schedule", "budget"])
def test_a_number_of_steps_that_was_given_allows_no_second_attempt(result_of, golden, policy):
    _, policies = retried(result_of, golden, [attempt("a(", 1)], policy)
    assert len(policies) == 1


def test_the_attempt_with_the_fewest_faults_is_picked_and_the_latest_of_equals():
    one, two, other = attempt("one", 1), attempt("two", 2), attempt("other", 1)
    assert pick([one, two]) is one
    assert pick([two, one]) is one
    assert pick([one, other, two]) is other
    result = Result("one", ("one",), True, one.check, (one, two), "m", POLICY)
    assert result.chosen is one


def layout(checkpoint: Any, *sizes: int) -> Layout:
    """`a`, then holes of these sizes with an `a` behind each."""
    tokens, holes = checkpoint.tokenizer.encode("a"), []
    for size in sizes:
        holes.append(Span(len(tokens), len(tokens) + size))
        tokens = [*tokens, *[checkpoint.tokenizer.mask] * size, *checkpoint.tokenizer.encode("a")]
    return Layout(tuple(tokens), tuple(holes), Span(0, len(tokens)))


def test_an_output_has_each_hole_up_to_its_end_token(checkpoint, scripted, result_of):
    tokenizer = checkpoint.tokenizer
    decode, constraints = (
        scripted(checkpoint, "x = 1<|im_end|>y", "y"),
        engine.constraints_of(checkpoint, POLICY, ends=tokenizer.ends, forbidden=frozenset(), min_tokens=[0, 0]),
    )
    written = result_of(engine.write(checkpoint, layout(checkpoint, 8, 1), constraints, POLICY, decode))
    assert [tokenizer.decode(hole) for hole in written.holes] == ["x = 1", "y"]
    assert written.ended == (True, False)
    assert written.tokens == len(tokenizer.encode("x = 1")) + len(tokenizer.encode("y"))
    assert (written.masks, written.nfe, written.seconds) == (9, 2, 0.25)


def test_masks_that_were_never_written_are_left_and_no_text(checkpoint, scripted, result_of):
    constraints = engine.constraints_of(
        checkpoint, POLICY, ends=checkpoint.tokenizer.ends, forbidden=frozenset(), min_tokens=[0]
    )
    written = result_of(engine.write(checkpoint, layout(checkpoint, 6), constraints, POLICY, scripted(checkpoint, "y")))
    text = checkpoint.tokenizer.encode("y")
    assert (written.holes, written.ended) == ((tuple(text),), (False,))
    assert (written.tokens, written.masks_left) == (len(text), 6 - len(text))


def test_only_a_policy_by_line_needs_to_know_what_ends_a_line(checkpoint):
    none: Any = {"ends": frozenset({5, 3}), "forbidden": frozenset({9, 2}), "min_tokens": [1]}
    plain = engine.constraints_of(checkpoint, POLICY, **none)
    assert (plain.ends, plain.min_tokens, plain.line_ends) == ((3, 5), (1,), None)
    assert engine.constraints_of(checkpoint, replace(POLICY, by_line=True), **none).line_ends is not None


def test_a_canvas_may_be_twice_as_long_as_what_was_trained_with_a_note(checkpoint):
    trained = checkpoint.config.context
    assert check_length(checkpoint, trained) == ()
    note = (f"{2 * trained} tokens, beyond the {trained} the model was trained for",)
    assert check_length(checkpoint, 2 * trained) == note
    with pytest.raises(UsageError, match=f"more than the {2 * trained} the model can take"):
        check_length(checkpoint, 2 * trained + 1)
