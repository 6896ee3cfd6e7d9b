"""Training rows: tasks, compositions and open code laid out as canvases, just as decoding lays them out.

A row's first canvas is wholly known here; what is masked is the objective's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli import layout
from diffucli.train.mini.classics import ask, classics
from diffucli.train.mini.compositions import Composition, compose, held_out, verify

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.decode.canvas import Span
    from diffucli.model.vocabulary import Vocabulary
    from diffucli.train.mini.corpus import Function

LONGEST = 320  # tokens of a row


@dataclass(frozen=True, slots=True)
class Row:
    """`tokens` in full, the `holes` that are trained on, and how long `content` is before the pads of the last hole.

    answers: the row is a chat answer (its hole reaches the end of the canvas).
    """

    tokens: tuple[int, ...]
    holes: tuple[Span, ...]
    answers: bool


@dataclass(frozen=True, slots=True)
class Sources:
    """What rows are made of, by shares of the draw: answers to tasks and compositions, and fills."""

    words: Vocabulary
    functions: Sequence[Function]

    def draw(self, rng: random.Random) -> Row | None:
        """One row; None where it would be too long."""
        kinds: tuple[Callable[[random.Random], Row], ...] = (
            self.classic,
            self.composition,
            self.fill_known,
            self.fill_open,
        )
        row = rng.choices(kinds, weights=(30, 48, 13, 9))[0](rng)
        return row if len(row.tokens) <= LONGEST else None

    def classic(self, rng: random.Random) -> Row:
        """An answer to a classic task in a trained phrasing."""
        task = rng.choice(classics())
        phrase, verb = rng.choice(task.phrases(held_out=False))
        return self.answer(rng, ask(rng, phrase, verb=verb), rng.choice(task.solutions))

    def composition(self, rng: random.Random) -> Row:
        """An answer to a trained composition."""
        item = trained_composition(rng)
        return self.answer(rng, item.instruction, item.code)

    def answer(self, rng: random.Random, request: str, code: str) -> Row:
        """The chat prompt, the code, its closing fence, the end of the turn, and pads as far as the canvas reaches."""
        words = self.words
        content = [*words.encode(code), *layout.closing(words, request)]
        size = len(content) + rng.choice((0, rng.randrange(8), rng.randrange(16), rng.randrange(64)))
        laid = layout.answer(words, request, tag="python", length=size)
        return self._written(laid, [content])

    def fill_known(self, rng: random.Random) -> Row:
        """A hole in the code of a classic task or a composition, with the request or without."""
        if rng.random() < 0.5:
            task = rng.choice(classics())
            phrase, verb = rng.choice(task.phrases(held_out=False))
            request, code = ask(rng, phrase, verb=verb), rng.choice(task.solutions)
        else:
            item = trained_composition(rng)
            request, code = item.instruction, item.code
        return self.fill(rng, code, request if rng.random() < 0.4 else None)

    def fill_open(self, rng: random.Random) -> Row:
        """A hole in open code."""
        function = rng.choice(self.functions)
        return self.fill(rng, function.code, function.summary if rng.random() < 0.15 else None)

    def fill(self, rng: random.Random, code: str, request: str | None) -> Row:
        """A hole in `code`, larger by some pads than what stands there."""
        start, stop = hole(rng, code)
        before, text, after = code[:start], code[start:stop], code[stop:]
        content = self.words.encode(layout.inside(before, text))
        size = len(content) + rng.choice((0, rng.randrange(4), rng.randrange(16), rng.randrange(40)))
        laid = layout.file(self.words, [before, after], [size], query=request, tag="python")
        return self._written(laid, [content])

    def _written(self, laid: layout.Layout, contents: Sequence[list[int]]) -> Row:
        tokens = list(laid.tokens)
        for span, content in zip(laid.holes, contents, strict=True):
            tokens[span.start : span.stop] = [*content, *[self.words.pad] * (len(span) - len(content))]
        return Row(tuple(tokens), laid.holes, answers=laid.holes[-1].stop == len(tokens))


def hole(rng: random.Random, code: str) -> tuple[int, int]:
    """A stretch of `code` as a person would cut it: whole lines, the whole body, or a part of a line."""
    lines = code.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]
    kind = rng.random()
    if kind < 0.3 and len(lines) > 1:
        first, last = 1, len(lines) - 1
    else:
        first = rng.randrange(len(lines))
        last = first if kind < 0.75 else min(first + rng.randrange(4), len(lines) - 1)
    begin = starts[first] + len(lines[first]) - len(lines[first].lstrip(" "))
    end = starts[last + 1] - 1
    if kind > 0.85 and first == last and end - begin > 4:
        begin, end = _part(rng, code, begin, end)
    return (begin, end) if end > begin else (0, len(code.rstrip("\n")))


def _part(rng: random.Random, code: str, begin: int, end: int) -> tuple[int, int]:
    """A part of a line between two places where words begin or end."""
    places = [i for i in range(begin, end + 1) if i in (begin, end) or code[i - 1].isalnum() != code[i].isalnum()]
    first, last = sorted(rng.sample(range(len(places)), 2))
    return places[first], places[last]


def trained_composition(rng: random.Random) -> Composition:
    """A composition that is not held out and whose code passes its tests."""
    while True:
        item = compose(rng)
        if not held_out(item.key) and verify(item):
            return item


def held_out_compositions(rng: random.Random) -> Iterator[Composition]:
    """Verified compositions that no training row may hold, each key once."""
    seen: set[str] = set()
    while True:
        item = compose(rng)
        if held_out(item.key) and item.key not in seen and verify(item):
            seen.add(item.key)
            yield item
