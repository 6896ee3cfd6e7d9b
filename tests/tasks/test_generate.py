"""A request becomes code: where an answer ends, what it may hold, and how it is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffucli.decode.loop import Returned, alone, together
from diffucli.decode.policy import PRESETS
from diffucli.decode.sample import SURE_LINE_END
from diffucli.errors import UsageError
from diffucli.events import Finished, Started, Stepped, fold
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.syntax.languages import by_name
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS, Request, generate
from diffucli.tasks.verify import Refused

BALANCED = PRESETS["balanced"]
DOCSTRING = 'def f():\n    """\n    ```\n    f()\n    ```\n    """\n'  # with a fence in it


@pytest.fixture(scope="module")
def mini():
    return load(registry.find("mini").folder)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("x = 1\n```<|im_end|>", "x = 1\n"),
        ("x = 1\n```\nThis sets x.<|im_end|>", "x = 1\n"),
        ("x = 1\n```python\nmore<|im_end|>", "x = 1\n"),
        ("x = 1<|endoftext|>y = 2", "x = 1\n"),
        ("\n\nx = 1\n\n\n<|dlm_pad|>", "x = 1\n"),
        ("s = '```'\n```<|im_end|>", "s = '```'\n"),
        ("<|im_end|>", ""),
        ('"""Title\n~~~~~\n"""\nx = 1\n```<|im_end|>', '"""Title\n~~~~~\n"""\nx = 1\n'),
        (f"{DOCSTRING}```<|im_end|>", DOCSTRING),
    ],
)
def test_an_answer_ends_at_its_fence_or_turn_with_one_newline(checkpoint, scripted, result_of, written, code):
    """Only a fence at the margin closes: an RST heading and a fence in a docstring are code."""
    task = generate(checkpoint, Request("do it", length=80), BALANCED, decode=scripted(checkpoint, written))
    result = result_of(task)
    assert (result.text, result.ended) == (code, True)


def test_an_answer_that_fills_the_canvas_is_told_apart(checkpoint, scripted, result_of):
    task = generate(checkpoint, Request("do it", length=8), BALANCED, decode=scripted(checkpoint, "x = 1"))
    result = result_of(task)
    assert (result.text, result.ended, result.ok) == ("x = 1\n", False, True)


def test_the_default_answer_has_room_for_256_tokens(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, "x = 1")
    result = result_of(generate(checkpoint, Request("do it"), BALANCED, decode=decode))
    assert result.attempts[0].written.masks == DEFAULT_ANSWER_TOKENS == 256


def test_what_does_not_parse_is_repaired_and_all_versions_count(checkpoint, scripted, result_of):
    """One token is missing: every edit is a run, and the text has the same beginning."""
    decode = scripted(checkpoint, "x = (1\n```<|im_end|>", repair=")")
    result = result_of(generate(checkpoint, Request("do it", length=20), BALANCED, decode=decode))
    assert (result.text, result.ok, result.ended) == ("x = (1)\n", True, True)
    assert len(result.attempts) == 2
    assert result.nfe == 2 * (1 + len(decode.repairs)) + result.rereading
    assert result.policy == BALANCED


@pytest.mark.parametrize("text", ["def f(:\n```<|im_end|>", "<|im_end|>"], ids=["broken", "empty"])
def test_what_cannot_be_repaired_comes_back_as_it_was_and_is_refused(checkpoint, scripted, result_of, text):
    decode = scripted(checkpoint, text)
    result = result_of(generate(checkpoint, Request("do it", length=20), BALANCED, decode=decode))
    assert result.text == text.partition("```")[0].partition("<")[0]
    assert not result.ok
    with pytest.raises(Refused):
        result.accepted()


def test_with_verify_warn_a_text_is_repaired_but_never_refused(checkpoint, scripted, result_of):
    request = Request("do it", length=20, verify="warn")
    for text, ok in (("x = (1", True), ("def f(:", False)):
        decode = scripted(checkpoint, f"{text}\n```<|im_end|>", repair=")" if ok else "(")
        result = result_of(generate(checkpoint, request, BALANCED, decode=decode))
        assert (result.ok, bool(result.check.message), result.accepted()) == (ok, not ok, result)


@pytest.mark.parametrize("text", ["x = (1\n```<|im_end|>", "x = undefined\n```<|im_end|>"], ids=["error", "warning"])
def test_without_verification_no_critic_reads_the_text(checkpoint, scripted, result_of, text):
    decode = scripted(checkpoint, text, repair=")")
    result = result_of(generate(checkpoint, Request("do it", length=20, verify="off"), BALANCED, decode=decode))
    assert (len(result.attempts), decode.repairs, result.chosen.diagnostics) == (1, [], ())


def test_steps_that_were_given_are_not_exceeded_by_repairs(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, "x = (1\n```<|im_end|>", repair=")")
    result = result_of(generate(checkpoint, Request("do it", length=20), replace(BALANCED, budget=3), decode=decode))
    assert (len(result.attempts), decode.repairs) == (1, [])


def test_the_language_is_in_the_prompt_and_judges_the_answer(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, "fn f() {}\n```<|im_end|>")
    result = result_of(generate(checkpoint, Request("do it", by_name("rust"), 20), BALANCED, decode=decode))
    assert "```rust\n" in decode.canvases[0]
    assert result.ok


def test_a_canvas_beyond_what_was_trained_gets_a_note_and_far_beyond_a_refusal(checkpoint, scripted, result_of):
    trained, decode = checkpoint.config.context, scripted(checkpoint, "x = 1")
    result = result_of(generate(checkpoint, Request("do it", length=trained), BALANCED, decode=decode))
    assert f"the {trained} the model was trained for" in result.notes[0]
    with pytest.raises(UsageError, match="more than the 4096") as refused:
        result_of(generate(checkpoint, Request("do it", length=2 * trained), BALANCED, decode=decode))
    assert "smaller --length" in refused.value.hint


def test_masks_behind_an_end_token_do_not_count_as_left(mini):
    """A budget of two steps: the answer has ended, and what is open stands before the end."""
    policy = replace(BALANCED, budget=2, block=None)
    events = alone(mini.network, generate(mini, Request("write a quicksort", length=128), policy))
    final, result = None, None
    while result is None:
        try:
            event = next(events)
        except StopIteration as end:
            result = end.value
        else:
            final = event if isinstance(event, Finished) else final
    written, tokens = result.attempts[0].written, final.tokens[final.holes[0][0] :]
    ends = mini.tokenizer.ends | mini.tokenizer.fences
    before = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    assert before < len(tokens), "the case is one with an end token"
    assert written.masks_left == sum(token == mini.tokenizer.mask for token in tokens[:before])


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_an_answer_has_the_tokens_it_must_have_before_it_may_end(checkpoint, preset):
    request = Request("do it", length=24, min_tokens=20, verify="off")
    started, *_, final = alone(checkpoint.network, generate(checkpoint, request, PRESETS[preset]))
    start = started.holes[0][0]
    assert started.ends == checkpoint.tokenizer.ends | checkpoint.tokenizer.fences
    assert started.ends.isdisjoint(final.tokens[start : start + 20])


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_events_of_a_run_add_up_to_its_last_canvas(checkpoint, preset):
    request = Request("do it", length=24, verify="off")
    events = list(alone(checkpoint.network, generate(checkpoint, request, PRESETS[preset])))
    started, final = events[0], events[-1]
    assert isinstance(started, Started)
    assert started.shown == started.holes[0]
    assert fold(events) == final.tokens
    assert final.nfe == sum(isinstance(event, Stepped) for event in events)
    assert final.tokens[: started.holes[0][0]] == started.tokens[: started.holes[0][0]]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_speculation_writes_the_same_in_no_more_forwards(checkpoint, result_of, preset):
    plain, guessed = (
        result_of(
            generate(checkpoint, Request("do it", length=24, verify="off"), replace(PRESETS[preset], speculate=count)),
            checkpoint.network,
        )
        for count in (0, 3)
    )
    assert plain.text == guessed.text
    assert plain.nfe >= guessed.nfe


def test_requests_run_together_get_the_texts_they_get_alone(mini, result_of):
    requests = [Request(text, length=96) for text in ("write a quicksort", "a stack class", "merge two dictionaries")]
    alone_ = [result_of(generate(mini, request, BALANCED), mini.network).text for request in requests]
    runs = [generate(mini, request, BALANCED) for request in requests]
    found = {i: event.result.text for i, event in together(mini.network, runs) if isinstance(event, Returned)}
    assert [found[i] for i in range(3)] == alone_


def test_by_line_nothing_is_written_behind_a_sure_line_end_before_its_line_is(mini):
    """mini is sure of many at once, so that the same code comes in more steps."""
    request, ends = Request("write a quicksort", length=96), set(mini.tokenizer.line_ends)
    whole, lines = (
        list(alone(mini.network, generate(mini, request, replace(BALANCED, by_line=by_line))))
        for by_line in (False, True)
    )
    assert len(lines) > len(whole)
    for event in lines[1:-1]:
        sure = [
            place
            for place, token, score in zip(event.positions, event.tokens, event.scores, strict=True)
            if token in ends and score >= SURE_LINE_END
        ]
        assert not sure or sure == [max(event.positions)]
