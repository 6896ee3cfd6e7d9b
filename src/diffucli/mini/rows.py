"""Training rows: tasks, compositions and open code laid out as canvases, just as decoding lays them out.

A row's first canvas is wholly known here; what is masked is the objective's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli.mini.classics import classics, programs, request, summarised
from diffucli.mini.compositions import Composition, compose, held_out, verify
from diffucli.mini.renaming import Parts, rename
from diffucli.mini.wording import sentence
from diffucli.tasks import prompt
from diffucli.tasks.engine import ANSWER, FREE

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.decode.canvas import Span
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

LONGEST = 320  # tokens of a row
SLACKS = {1: 15, 8: 25, 24: 25, 64: 20, 128: 10, ANSWER: 5}  # bounds on the pads after an answer, and their shares
BRIEF = {4: 1}  # the same while the model cannot see them
SHARES = (22, 14, 28, 28, 8)  # of answers to tasks, to long ones, to compositions, of holes in these, in open code
LATE = (26, 14, 27, 27, 6)  # the same at the end: tasks have the longest answers and take the longest to learn
RENAMED, ASKED, DOCUMENTED, ACCOMPANIED = 0.8, 0.2, 0.35, 0.25  # of holes in known code: see `fill_known`
HEADS = 0.3  # of the holes that might be a first line
HEAD = re.compile(r"^(?:def|class) [^\n]*:\n(?= +)", re.MULTILINE)
Source = Literal["task", "composition", "task fill", "composition fill", "open fill"]


@dataclass(frozen=True, slots=True)
class Row:
    """`tokens` in full and the `holes` that are trained on, each with its content before the pads that fill it up.

    answers: the row is a chat answer (its hole reaches the end of the canvas). code: what it was cut from.
    """

    tokens: tuple[int, ...]
    holes: tuple[Span, ...]
    answers: bool
    source: Source
    code: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What rows are made of, by shares of the draw: answers to tasks and compositions, and fills."""

    words: Tokenizer
    functions: Sequence[Function]
    slacks: Mapping[int, int]
    shares: Sequence[int] = SHARES

    def draw(self, rng: random.Random) -> Row | None:
        """One row; None where it would be too long."""
        kinds: tuple[Callable[[random.Random], Row], ...] = (
            self.classic,
            self.program,
            self.composition,
            self.fill_known,
            self.fill_open,
        )
        row = rng.choices(kinds, weights=self.shares)[0](rng)
        return row if len(row.tokens) <= LONGEST else None

    def classic(self, rng: random.Random) -> Row:
        """An answer to a classic task in a trained phrasing."""
        task, asked = request(rng)
        return self.answer(rng, asked, rng.choice(task.solutions), source="task")

    def program(self, rng: random.Random) -> Row:
        """An answer to one of the tasks with long solutions."""
        task, asked = request(rng, programs())
        return self.answer(rng, asked, rng.choice(task.solutions), source="task")

    def composition(self, rng: random.Random) -> Row:
        """An answer to a trained composition."""
        item = trained_composition(rng)
        return self.answer(rng, item.instruction, item.code, source="composition")

    def answer(self, rng: random.Random, request: str, code: str, *, source: Source) -> Row:
        """The chat prompt, the code, its closing fence, the end of the turn, and pads as far as the canvas reaches."""
        words = self.words
        content = [*words.encode(code), *prompt.closing(words, request)]
        size = len(content) + self.slack(rng, len(content))
        laid = prompt.answer(words, request, tag="python", length=size)
        return Row(self._written(laid, content), laid.holes, answers=True, source=source, code=code)

    def slack(self, rng: random.Random, used: int) -> int:
        """How many pads follow `used` tokens of an answer, so that answers end in canvases of any length."""
        bound = rng.choices(list(self.slacks), list(self.slacks.values()))[0]
        return max(ANSWER - used, 0) if bound == ANSWER else rng.randrange(bound)

    def fill_known(self, rng: random.Random) -> Row:
        """A hole in a classic task's code or a composition's, mostly in other names.

        What is wanted is at times said by a request, at times by a docstring; at times other code stands beside it.
        """
        if rng.random() < 0.6:
            source: Source = "task fill"
            task, asked = request(rng)
            code, summary = rng.choice(task.solutions), summarised(rng, task)
        else:
            item = trained_composition(rng)
            source = "composition fill"
            asked, code, summary = item.instruction, item.code, sentence(item.instruction)
        parts = cut(rng, code)
        before, text, after = rename(rng, parts) if rng.random() < RENAMED else parts
        before = documented(before, summary) if rng.random() < DOCUMENTED else before
        above, below = neighbours(rng) if rng.random() < ACCOMPANIED else ("", "")
        whole = (above + before, text, after + below)
        return self.fill(rng, whole, asked if rng.random() < ASKED else None, source=source)

    def fill_open(self, rng: random.Random) -> Row:
        """A hole in open code."""
        function = rng.choice(self.functions)
        request = function.summary if rng.random() < 0.15 else None
        return self.fill(rng, cut(rng, function.code), request, source="open fill")

    def fill(self, rng: random.Random, parts: Parts, request: str | None, *, source: Source) -> Row:
        """A hole between `parts[0]` and `parts[2]`, larger by some pads than what stands there."""
        before, text, after = parts
        content = self.words.encode(prompt.inside(before, text))
        size = len(content) + self.spare(rng, len(content))
        laid = prompt.file(self.words, [before, after], [size], query=request, tag="python")
        return Row(self._written(laid, content), laid.holes, answers=False, source=source, code="".join(parts))

    def spare(self, rng: random.Random, used: int) -> int:
        """How many pads follow `used` tokens in a hole: none, a few, many, or as a hole of free length has them."""
        free = max(FREE - used, 0)
        return rng.choice((0, rng.randrange(4), rng.randrange(16), rng.randrange(40), free, free, free))

    def _written(self, laid: prompt.Layout, content: Sequence[int]) -> tuple[int, ...]:
        """The tokens of a canvas with one hole, which holds `content` and then pads."""
        (span,) = laid.holes
        pads = [self.words.pad] * (len(span) - len(content))
        return (*laid.tokens[: span.start], *content, *pads, *laid.tokens[span.stop :])


def cut(rng: random.Random, code: str) -> Parts:
    """`code` before, in and after a hole."""
    start, stop = hole(rng, code)
    return code[:start], code[start:stop], code[stop:]


def documented(before: str, summary: str) -> str:
    """What stands above a hole; the last function or class there at the margin now says `summary` in a docstring."""
    ends = [found.end() for found in HEAD.finditer(before)]
    return f'{before[: ends[-1]]}    """{summary}"""\n{before[ends[-1] :]}' if ends else before


def neighbours(rng: random.Random) -> tuple[str, str]:
    """The code of a task above or below, with the blank lines between."""
    other = rng.choice(rng.choice(classics()).solutions)
    return (f"{other}\n\n", "") if rng.random() < 0.5 else ("", f"\n\n{other}")


def hole(rng: random.Random, code: str) -> tuple[int, int]:
    """A stretch of `code` as a person would cut it: whole lines, the whole body, or a part of a line."""
    lines = code.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]
    kind = rng.random()
    if kind < 0.3 and len(lines) > 1:
        first, last = 1, len(lines) - 1
    else:
        first = rng.choice([i for i, line in enumerate(lines) if line.strip() and (i or rng.random() < HEADS)] or [0])
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
