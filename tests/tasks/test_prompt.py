"""Canvases: prompt, code and holes as ids, and the space that a hole takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Span
from diffucli.syntax.languages import by_name
from diffucli.tasks import prompt

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint
    from diffucli.model.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def words(checkpoint: Checkpoint) -> Tokenizer:
    return checkpoint.tokenizer


class Base:
    """The vocabulary of a checkpoint that knows no turns."""

    def __init__(self, words: Tokenizer) -> None:
        self.words, self.instruct, self.mask, self.family = words, False, words.mask, words.family

    def encode(self, text: str) -> list[int]:
        return self.words.encode(text)

    def special_ids(self, name: str) -> list[int]:
        return self.words.special_ids(name)


def test_an_answer_is_the_chat_prompt_with_an_open_fence_and_then_only_masks(words: Tokenizer) -> None:
    laid = prompt.answer(words, "add one", language=by_name("rust"), length=5)
    text = words.decode(laid.tokens[:-5])
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nadd one\n<|im_end|>\n"
        "<|im_start|>assistant\nHere is the code to solve this problem:\n```rust\n"
    )
    assert laid.tokens[-5:] == (words.mask,) * 5
    assert laid.holes == (Span(len(laid.tokens) - 5, len(laid.tokens)),)
    assert laid.shown == laid.holes[0]


def test_a_file_without_a_request_is_its_text_and_its_holes(words: Tokenizer) -> None:
    laid = prompt.file(words, ["a = ", "\nb = ", "\n"], [3, 2])
    assert words.decode(laid.tokens) == "a =<|mask|><|mask|><|mask|>\nb =<|mask|><|mask|>\n"
    assert [len(hole) for hole in laid.holes] == [3, 2]
    assert laid.shown == Span(0, len(laid.tokens))


def test_a_request_puts_the_file_inside_the_fence_of_the_assistant(words: Tokenizer) -> None:
    laid = prompt.file(words, ["x\n", "y\n"], [2], request="fix it")
    text = words.decode(laid.tokens)
    assert text.endswith("user\nfix it\n<|im_end|>\n<|im_start|>assistant\nHere is the code to solve this problem:\n"
                         "```python\nx\n<|mask|><|mask|>y\n```<|im_end|>")  # fmt: skip
    assert words.decode(laid.tokens[laid.shown.start : laid.shown.stop]) == "x\n<|mask|><|mask|>y\n"


def test_a_checkpoint_without_turns_gets_the_request_as_a_comment(words: Tokenizer) -> None:
    laid = prompt.file(Base(words), ["x\n", "y\n"], [1], request="two\nlines")
    assert words.decode(laid.tokens) == "# two\n# lines\nx\n<|mask|>y\n"


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        ("rust", "// two\n// lines\n"),
        ("bash", "# two\n# lines\n"),
        ("css", "/* two */\n/* lines */\n"),
        ("html", "<!-- two -->\n<!-- lines -->\n"),
        ("json", "// two\n// lines\n"),
    ],
)
def test_such_a_comment_is_one_of_the_language(words: Tokenizer, name: str, comment: str) -> None:
    laid = prompt.answer(Base(words), "two\nlines", length=1, language=by_name(name))
    assert words.decode(laid.tokens) == f"{comment}<|mask|>"


def test_special_tokens_named_in_a_request_are_plain_text(words: Tokenizer) -> None:
    laid = prompt.answer(words, "print <|mask|><|im_end|>", length=1)
    assert laid.tokens.count(words.mask) == 1
    assert laid.tokens.count(words.special("<|im_end|>")) == 2, "system and user turn"


@given(before=st.text("ab \n\t"), text=st.text("ab \n", min_size=1))
def test_outside_undoes_inside(before: str, text: str) -> None:
    assert prompt.outside(before, prompt.inside(before, text)) == text


@given(indent=st.integers(0, 12), name=st.text("abc", min_size=1))
def test_a_line_in_a_hole_has_the_ids_it_would_have_in_the_file(words: Tokenizer, indent: int, name: str) -> None:
    """The split before a hole is where the tokenizer splits anyway."""
    before, line = "if x:\n" + " " * indent, f"{name} = 1"
    laid = prompt.file(words, [before, "\n"], [0])
    inside = words.encode(prompt.inside(before, line))
    assert [*laid.tokens[: laid.holes[0].start], *inside] == words.encode(before + line)


def test_a_dreamons_text_has_a_begin_and_an_end(checkpoint_of) -> None:
    words = checkpoint_of("dreamon").tokenizer
    laid = prompt.file(words, ["a = ", "\n"], [3])
    assert words.decode(laid.tokens) == "<|beginoftext|>a =<|mask|><|mask|><|mask|>\n<|endoftext|>"
    assert words.decode(laid.tokens[laid.shown.start : laid.shown.stop]) == "a =<|mask|><|mask|><|mask|>\n"
    assert words.decode(prompt.answer(words, "x", length=1).tokens) == "<|beginoftext|># x\n<|mask|><|endoftext|>"


def test_what_is_behind_a_hole_stands_in_front_where_it_is_not_seen(checkpoint_of) -> None:
    words = checkpoint_of("blockwise").tokenizer
    laid = prompt.middle(words, words.encode("a = "), "\nb\n", 2, request="do", language=by_name("python"))
    hole = "".join([words.piece(5).decode()] * 2)
    assert words.decode(laid.tokens) == f"<[fim-suffix]>\nb\n<[fim-prefix]># do\na = <[fim-middle]>{hole}"
    assert laid.holes == (Span(len(laid.tokens) - 2, len(laid.tokens)),)
