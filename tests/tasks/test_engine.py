"""The pipeline of every task: candidates are written and repaired, the best version of the best one wins."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.decode.canvas import Span
from diffucli.decode.commit import Independent
from diffucli.decode.policy import PRESETS, repair_policy
from diffucli.errors import UsageError
from diffucli.syntax.check import CheckResult, Diagnostic
from diffucli.tasks import engine
from diffucli.tasks.attempt import Attempt, FailedTest, Judged
from diffucli.tasks.engine import Effort, Task, check_length, policies, solve
from diffucli.tasks.prompt import Layout
from diffucli.tasks.verify import Check, Refused
from diffucli.tasks.write import Decoding, HoleText, RunOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.decode.policy import Policy

POLICY = replace(PRESETS["balanced"], seed=7)
LAYOUT = Layout((1, 2), (Span(0, 2),), Span(0, 2))


def attempt(text: str, errors: int = 0, *, logprob: float = -0.5, refused: bool = True) -> Attempt:
    """An attempt with so many syntax errors, all of them at its only token."""
    output = RunOutput(LAYOUT, (HoleText((1,), (logprob,)),), masks=8, masks_left=0, nfe=2.5, seconds=0.5)
    found = tuple(Diagnostic(1, 1, "invalid syntax", 0, 1) for _ in range(errors))
    message = "does not parse" if errors else ""
    check = Check(CheckResult(True, found), message, refused=refused and errors > 0)
    return Attempt(text, (text,), True, check, output, offsets=((0, len(text)),))


@pytest.fixture
def solved(checkpoint: Any, scripted: Any, result_of: Callable[..., Any]) -> Callable[..., Any]:
    """solved(firsts, repairs, effort, policy): the result, and the policies of the first texts and of the repairs."""

    def run(firsts: list[Attempt], repairs: list[Attempt] = [], effort: Effort = Effort(), policy: Policy = POLICY):  # noqa: B006, B008
        written, coming, mended = [], iter(firsts), iter(repairs)
        decode = scripted(checkpoint, "x")
        plain = engine.constraints_of(checkpoint, policy, ends=frozenset(), forbidden=frozenset(), min_tokens=[])
        careful: list[Policy] = []

        def first(policy: Policy):
            written.append(policy)
            yield from ()
            return next(coming)

        def decoding(canvas: Any, policy: Policy, constraints: Any):
            careful.append(policy)
            return decode(canvas, policy, constraints)

        task = Task(
            "gen", first, lambda _: next(mended, attempt("(", 9)), Decoding(checkpoint, POLICY, plain, decoding)
        )
        named: Any = SimpleNamespace(folder=checkpoint.folder, tokenizer=checkpoint.tokenizer)
        return result_of(solve(named, task, policy, effort, ["n"]), checkpoint.network), written, careful

    return run


def test_what_is_clean_is_written_once(solved, golden):
    result, written, careful = solved([attempt("x\n")])
    assert (result.text, result.pieces, result.ended, result.ok) == ("x\n", ("x\n",), True, True)
    assert (written, result.notes, result.seed, result.model) == ([POLICY], ("n",), 7, golden.name)
    assert (result.nfe, result.rereading, careful, len(result.attempts)) == (3.5, 1.0, [], 1)
    assert result.seconds > 0


def test_what_has_errors_is_repaired_by_the_policy_of_repairs(solved):
    result, written, careful = solved([attempt("x(", 1)], [attempt("x\n")])
    assert result.text == "x\n"
    assert (written, result.policy) == ([POLICY], POLICY)
    assert set(careful) == {repair_policy(POLICY)}
    assert (len(result.attempts), result.attempts[0].text) == (2, "x(")


def test_a_text_that_stays_broken_is_refused_as_it_was_first(solved):
    result, _, careful = solved([attempt("a(", 2)])
    assert (result.text, result.chosen) == ("a(", replace(result.attempts[0], doubt=result.doubt))
    assert careful
    with pytest.raises(Refused) as refused:
        result.accepted()
    assert (refused.value.text, refused.value.check.faults) == ("a(", 2)


def test_what_is_only_warned_of_is_accepted(solved):
    result, *_ = solved([attempt("a(", 1, refused=False)])
    assert (result.ok, result.accepted()) == (False, result)


def test_no_rounds_are_no_repairs(solved):
    result, _, careful = solved([attempt("a(", 1)], [attempt("x")], Effort(repair=0))
    assert (result.text, careful) == ("a(", [])


def test_a_budget_of_steps_leaves_none_for_repairs(solved):
    _, _, careful = solved([attempt("a(", 1)], [attempt("x")], policy=replace(POLICY, budget=9))
    assert careful == []


def test_of_several_candidates_the_one_with_the_fewest_faults_is_first_then_the_likeliest(solved):
    firsts = [attempt("bad(", 1), attempt("unlikely", logprob=-2.0), attempt("likely", logprob=-0.1)]
    result, written, _ = solved(firsts, effort=Effort(candidates=3, repair=0))
    assert [each.text for each in result.candidates] == ["likely", "unlikely", "bad("]
    assert [each.text for each in result.attempts] == ["bad(", "unlikely", "likely"]
    assert (result.nfe, [policy.seed for policy in written]) == (8.5, [7, 8, 9])


def test_the_first_candidate_is_written_as_asked_and_the_others_vary():
    hot = replace(POLICY, sampling=replace(POLICY.sampling, temperature=0.3))
    assert policies(POLICY, 1) == [POLICY]
    first, second, third = policies(POLICY, 3)
    assert first == POLICY
    varied = replace(POLICY.sampling, temperature=engine.VARIED)
    assert (second, third) == (replace(POLICY, sampling=varied, seed=8), replace(POLICY, sampling=varied, seed=9))
    assert policies(hot, 2)[1] == replace(hot, seed=8), "a temperature that was given stays"
    drawn = replace(PRESETS["exact"], commit=Independent())
    assert policies(drawn, 2)[1] == replace(drawn, seed=1), "an order that is drawn varies by itself"


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


def test_first_keeps_the_order_of_the_seeds(solved):
    result, _, _ = solved([attempt("bad(", 1), attempt("good")], effort=Effort(2, 0, "first"))
    assert [each.text for each in result.candidates] == ["bad(", "good"]


def test_a_test_judges_each_text_without_syntax_errors_once_and_counts_before_probability(solved):
    seen: list[str] = []

    def judge(texts: Any) -> list[Judged]:
        seen.extend(texts)
        return [Judged(passed=text == "good") for text in texts]

    firsts = [attempt("bad(", 1), attempt("likely", logprob=-0.1), attempt("good"), attempt("likely")]
    result, _, _ = solved(firsts, effort=Effort(4, 0, test=judge))
    assert seen == ["likely", "good"]
    assert [each.text for each in result.candidates] == ["good", "likely", "likely", "bad("]
    assert [each.tested and each.tested.passed for each in result.candidates] == [True, False, False, None]


def test_a_failed_test_refuses_the_text_only_where_it_must(solved):
    failing = Effort(2, 0, test=lambda texts: [Judged(False, refused=True, reason="no") for _ in texts])
    result, _, _ = solved([attempt("a"), attempt("b")], effort=failing)
    with pytest.raises(FailedTest, match=r"none of 2 candidates passed the test \(no\); nothing was written"):
        result.accepted()
    with pytest.raises(FailedTest):
        result.acceptable()
    lenient = Effort(1, 0, test=lambda texts: [Judged(False) for _ in texts])
    result, _, _ = solved([attempt("a")], effort=lenient)
    assert result.accepted() is result


def test_acceptable_candidates_are_told_once_the_best_first(solved):
    firsts = [attempt("b"), attempt("bad(", 1), attempt("a", logprob=-0.1), attempt("b", logprob=-0.2)]
    result, _, _ = solved(firsts, effort=Effort(4, 0))
    assert [each.text for each in result.acceptable()] == ["a", "b"]
    first, *rest = result.candidates
    doubted = replace(result, candidates=(replace(first, doubt=replace(result.doubt, doubtful=True)), *rest))
    assert [each.text for each in doubted.acceptable(strict=True)] == ["b"]


@pytest.mark.parametrize(("candidates", "repair"), [(0, 2), (33, 2), (1, -1)])
def test_an_impossible_effort_is_refused(candidates, repair):
    with pytest.raises(UsageError, match="is no number of"):
        Effort(candidates, repair)
