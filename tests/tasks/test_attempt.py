"""Attempts: which is better, and where the tokens of a text lie in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Span
from diffucli.syntax.check import CheckResult, Diagnostic
from diffucli.tasks.attempt import Attempt, badness, faults, token_offsets
from diffucli.tasks.prompt import Layout
from diffucli.tasks.verify import Check
from diffucli.tasks.write import HoleText, RunOutput

ERROR, WARNING = Diagnostic(1, 1, "e", 0, 1), Diagnostic(1, 1, "w", 0, 1)


def attempt(errors: int = 0, warnings: int = 0, *, logprob: float = 0.0, depth=(0, 0), message: str = "") -> Attempt:
    output = RunOutput(Layout((1,), (Span(0, 1),), Span(0, 1)), (HoleText((1,), (logprob,)),), 1, 0, 1.0, 0.0)
    check = Check(CheckResult(True, (ERROR,) * errors), message or "broken" * bool(errors))
    return Attempt("x", ("x",), True, check, output, (WARNING,) * warnings, ((0, 1),), depth)


def test_errors_come_before_depth_before_warnings_before_log_probability():
    order = [
        attempt(logprob=-0.1),
        attempt(logprob=-9.0),
        attempt(warnings=1),
        attempt(warnings=2, logprob=0.0),
        attempt(1, depth=(1, 3)),
        attempt(1, depth=(1, 4)),
        attempt(1, depth=(2, 0)),
        attempt(2, depth=(1, 0)),
    ]
    assert sorted([*order[4:], *order[:4]], key=badness) == order
    assert faults(order[0]) == faults(order[1]), "log-probabilities are no faults"


def test_an_attempt_is_clean_if_no_critic_found_anything():
    assert attempt().is_clean
    assert not attempt(warnings=1).is_clean
    assert not attempt(1).is_clean
    assert not attempt(message="the answer holds no code").is_clean
    assert attempt(1, 1).diagnostics == (ERROR, WARNING)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.integers(0, 9), st.sampled_from(["\n", "\r\n"])
)
def test_each_token_lies_where_its_text_does(checkpoint, text, start, newline):
    """Byte by byte, so that most characters are spread over several tokens, and as it is encoded."""
    tokenizer = checkpoint.tokenizer
    text = tokenizer.decode(tokenizer.encode(text))
    single = {tokenizer.piece(i): i for i in range(tokenizer.vocab_size) if len(tokenizer.piece(i)) == 1}
    whole = "#" * start + text.replace("\n", newline)
    for tokens in (tokenizer.encode(text), [single[bytes([byte])] for byte in text.encode()]):
        offsets = token_offsets(tokenizer, tokens, start=start, newline=newline)
        assert (len(offsets), offsets[0], offsets[-1]) == (len(tokens) + 1, start, len(whole))
        assert list(offsets) == sorted(offsets)
        for index, offset in enumerate(offsets):
            before = b"".join(tokenizer.piece(token) for token in tokens[:index]).decode(errors="ignore")
            assert whole[start:offset] == before.replace("\n", newline)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_character_over_several_tokens_counts_with_the_last(checkpoint, newline):
    tokenizer = checkpoint.tokenizer
    single = {tokenizer.piece(i): i for i in range(tokenizer.vocab_size) if len(tokenizer.piece(i)) == 1}
    tokens = [single[bytes([byte])] for byte in "𝄞\né".encode()]
    step = len(newline)
    assert token_offsets(tokenizer, tokens, start=2, newline=newline) == (
        *(2, 2, 2, 2, 3),
        *(3 + step, 3 + step, 4 + step),
    )


def test_attempts_compare_by_value():
    assert attempt() == replace(attempt(1), check=attempt().check)
