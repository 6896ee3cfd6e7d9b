"""A request becomes a canvas: prompt, code and holes as token ids.

Training and decoding share these functions, so that the embedded model sees at work just what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diffucli.decode.canvas import Span
from diffucli.model.tokenizer import FENCE, Tokenizer

Encode = Callable[[str], list[int]]
PREFILL = "Here is the code to solve this problem:\n```{tag}\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """Token ids and the holes among them; ids inside holes are of no meaning. `shown`: the positions that are code."""

    tokens: tuple[int, ...]
    holes: tuple[Span, ...]
    shown: Span


def answer(words: Tokenizer, query: str, *, tag: str, length: int) -> Layout:
    """A chat prompt with the fence open, and `length` masks for the code and what closes it."""
    prefix = opening(words, query, tag)
    hole = Span(len(prefix), len(prefix) + length)
    return Layout((*prefix, *[words.mask] * length), (hole,), hole)


def opening(words: Tokenizer, query: str | None, tag: str) -> list[int]:
    """The prompt up to the code: a chat turn with an open fence, or a comment for a checkpoint that knows no turns."""
    if query is None:
        return []
    if not words.instruct:
        return words.encode("".join(f"# {line}\n" for line in query.splitlines()))
    return words.chat(query, prefill=PREFILL.format(tag=tag))


def closing(words: Tokenizer, query: str | None) -> list[int]:
    """What follows the code when the prompt opened a fence."""
    if query is None or not words.instruct:
        return []
    return [*words.encode(FENCE), words.turn_end]


def file(words: Tokenizer, parts: Sequence[str], sizes: Sequence[int], *, query: str | None, tag: str) -> Layout:
    """Code with holes: `parts[0]`, a hole of `sizes[0]` masks, `parts[1]` and so on, behind `query` if there is one.

    A space right before a hole belongs to the hole, since the vocabulary writes words with the space in front.
    """
    tokens, holes = opening(words, query, tag), []
    start = len(tokens)
    for part, size in zip(parts, sizes, strict=False):
        tokens += words.encode(part.removesuffix(" "))
        holes.append(Span(len(tokens), len(tokens) + size))
        tokens += [words.mask] * size
    tokens += words.encode(parts[-1])
    shown = Span(start, len(tokens))
    return Layout((*tokens, *closing(words, query)), tuple(holes), shown)


def inside(before: str, text: str) -> str:
    """What a hole after `before` holds when `text` is to stand there: with the space that the hole took over."""
    return " " + text if before.endswith(" ") else text


def outside(before: str, text: str) -> str:
    """`text` of a hole after `before` without the space that the hole took over; the inverse of `inside`."""
    return text.removeprefix(" ") if before.endswith(" ") else text
