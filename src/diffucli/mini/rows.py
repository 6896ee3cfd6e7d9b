"""Training rows: tasks, compositions and open code laid out as canvases, exactly as decoding lays them out.

A row has its full content; which tokens are masked is decided by the objective.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli.mini.classics import classics, draw_request, draw_summary, programs
from diffucli.mini.compositions import Composition, compose, held_out, verify
from diffucli.mini.renaming import Parts, rename
from diffucli.mini.wording import sentence
from diffucli.tasks import prompt
from diffucli.tasks.fill import DEFAULT_HOLE_TOKENS
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.decode.canvas import Span
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

LONGEST = 320  # tokens of a row
PADDING = {1: 15, 8: 25, 24: 25, 64: 20, 128: 10, DEFAULT_ANSWER_TOKENS: 5}  # bound on an answer's padding → weight
CAUSAL_PADDING = {4: 1}  # the same in the causal stage, which cannot see the padding
SHARES = (22, 14, 28, 28, 8)  # weights of tasks, programs, compositions, holes in these, and holes in open code
POLISH_SHARES = (26, 14, 27, 27, 6)  # the same in the last stage; tasks have the longest answers and learn slowest
RENAMED, REQUESTED, DOCUMENTED, ACCOMPANIED = 0.8, 0.2, 0.35, 0.25  # probabilities in `fill_known`
FIRST_LINE = 0.3  # probability that the first line may be the start of a hole
HEAD = re.compile(r"^(?:def|class) [^\n]*:\n(?= +)", re.MULTILINE)
RowKind = Literal["task", "composition", "task fill", "composition fill", "open fill"]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A canvas with its content.

    tokens: the whole canvas. holes: the spans that are trained on, padding included. answers: whether the row is a
    chat answer, whose hole reaches to the end of the canvas. code: the code that the row was made from.
    """

    tokens: tuple[int, ...]
    holes: tuple[Span, ...]
    answers: bool
    kind: RowKind
    code: str


@dataclass(frozen=True, slots=True)
class RowSampler:
    """Draws random rows.

    functions: open code. padding: bounds on the padding after an answer, with their weights. shares: weights of the
    kinds of rows.
    """

    tokenizer: Tokenizer
    functions: Sequence[Function]
    padding: Mapping[int, int]
    shares: Sequence[int] = SHARES

    def draw(self, rng: random.Random) -> TrainingRow | None:
        """One row, or None if it would be too long."""
        kinds: tuple[Callable[[random.Random], TrainingRow], ...] = (
            self.classic,
            self.program,
            self.composition,
            self.fill_known,
            self.fill_open,
        )
        row = rng.choices(kinds, weights=self.shares)[0](rng)
        return row if len(row.tokens) <= LONGEST else None

    def classic(self, rng: random.Random) -> TrainingRow:
        """An answer to a classic task in a trained phrasing."""
        task, request = draw_request(rng)
        return self.answer(rng, request, rng.choice(task.solutions), kind="task")

    def program(self, rng: random.Random) -> TrainingRow:
        """An answer to one of the tasks with long solutions."""
        task, request = draw_request(rng, programs())
        return self.answer(rng, request, rng.choice(task.solutions), kind="task")

    def composition(self, rng: random.Random) -> TrainingRow:
        """An answer to a trained composition."""
        item = trained_composition(rng)
        return self.answer(rng, item.instruction, item.code, kind="composition")

    def answer(self, rng: random.Random, request: str, code: str, *, kind: RowKind) -> TrainingRow:
        """The chat prompt, the code, its closing fence, the end of the turn, and padding to the end of the canvas."""
        content = [*self.tokenizer.encode(code), *prompt.closing(self.tokenizer, request)]
        length = len(content) + self.answer_padding(rng, len(content))
        layout = prompt.answer(self.tokenizer, request, length=length)
        return TrainingRow(self._with_content(layout, content), layout.holes, answers=True, kind=kind, code=code)

    def answer_padding(self, rng: random.Random, used: int) -> int:
        """A random number of padding tokens after `used` tokens, so that answers end in canvases of any length."""
        bound = rng.choices(list(self.padding), list(self.padding.values()))[0]
        return max(DEFAULT_ANSWER_TOKENS - used, 0) if bound == DEFAULT_ANSWER_TOKENS else rng.randrange(bound)

    def fill_known(self, rng: random.Random) -> TrainingRow:
        """A hole in the code of a classic task or a composition, mostly with renamed variables.

        Sometimes a request or a docstring describes the code, and sometimes other code is above or below it.
        """
        if rng.random() < 0.6:
            kind: RowKind = "task fill"
            task, request = draw_request(rng)
            code, summary = rng.choice(task.solutions), draw_summary(rng, task)
        else:
            item = trained_composition(rng)
            kind = "composition fill"
            request, code, summary = item.instruction, item.code, sentence(item.instruction)
        parts = cut_hole(rng, code)
        before, text, after = rename(rng, parts) if rng.random() < RENAMED else parts
        before = with_docstring(before, summary) if rng.random() < DOCUMENTED else before
        above, below = neighbours(rng) if rng.random() < ACCOMPANIED else ("", "")
        whole = (above + before, text, after + below)
        return self.fill(rng, whole, request if rng.random() < REQUESTED else None, kind=kind)

    def fill_open(self, rng: random.Random) -> TrainingRow:
        """A hole in open code."""
        function = rng.choice(self.functions)
        request = function.summary if rng.random() < 0.15 else None
        return self.fill(rng, cut_hole(rng, function.code), request, kind="open fill")

    def fill(self, rng: random.Random, parts: Parts, request: str | None, *, kind: RowKind) -> TrainingRow:
        """A hole with the content `parts[1]` and padding, between `parts[0]` and `parts[2]`."""
        before, text, after = parts
        content = self.tokenizer.encode(prompt.inside(before, text))
        length = len(content) + self.hole_padding(rng, len(content))
        layout = prompt.file(self.tokenizer, [before, after], [length], request=request)
        tokens = self._with_content(layout, content)
        return TrainingRow(tokens, layout.holes, answers=False, kind=kind, code="".join(parts))

    def hole_padding(self, rng: random.Random, used: int) -> int:
        """A random number of padding tokens after `used` tokens in a hole; often that of a hole of free length."""
        free = max(DEFAULT_HOLE_TOKENS - used, 0)
        return rng.choice((0, rng.randrange(4), rng.randrange(16), rng.randrange(40), free, free, free))

    def _with_content(self, layout: prompt.Layout, content: Sequence[int]) -> tuple[int, ...]:
        """The canvas with `content` and padding in its only hole."""
        (span,) = layout.holes
        padding = [self.tokenizer.pad] * (len(span) - len(content))
        return (*layout.tokens[: span.start], *content, *padding, *layout.tokens[span.stop :])


def cut_hole(rng: random.Random, code: str) -> Parts:
    """`code` before, in and after a random hole."""
    start, stop = hole_range(rng, code)
    return code[:start], code[start:stop], code[stop:]


def with_docstring(before: str, summary: str) -> str:
    """The code before a hole, with the docstring `summary` in its last top-level function or class."""
    ends = [found.end() for found in HEAD.finditer(before)]
    return f'{before[: ends[-1]]}    """{summary}"""\n{before[ends[-1] :]}' if ends else before


def neighbours(rng: random.Random) -> tuple[str, str]:
    """Code to put above and below other code: a solution of a random task on one side, with blank lines."""
    other = rng.choice(rng.choice(classics()).solutions)
    return (f"{other}\n\n", "") if rng.random() < 0.5 else ("", f"\n\n{other}")


def hole_range(rng: random.Random, code: str) -> tuple[int, int]:
    """The start and end of a hole as a person would cut it: whole lines, the whole body, or a part of a line."""
    lines = code.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]
    kind = rng.random()
    if kind < 0.3 and len(lines) > 1:
        first, last = 1, len(lines) - 1
    else:
        candidates = [i for i, line in enumerate(lines) if line.strip() and (i or rng.random() < FIRST_LINE)]
        first = rng.choice(candidates or [0])
        last = first if kind < 0.75 else min(first + rng.randrange(4), len(lines) - 1)
    begin = starts[first] + len(lines[first]) - len(lines[first].lstrip(" "))
    end = starts[last + 1] - 1
    if kind > 0.85 and first == last and end - begin > 4:
        begin, end = _part_of_line(rng, code, begin, end)
    return (begin, end) if end > begin else (0, len(code.rstrip("\n")))


def _part_of_line(rng: random.Random, code: str, begin: int, end: int) -> tuple[int, int]:
    """A random part of a line that starts and ends at word boundaries."""
    boundaries = [i for i in range(begin, end + 1) if i in (begin, end) or code[i - 1].isalnum() != code[i].isalnum()]
    first, last = sorted(rng.sample(range(len(boundaries)), 2))
    return boundaries[first], boundaries[last]


def trained_composition(rng: random.Random) -> Composition:
    """A random composition that is not held out and whose code passes its tests."""
    while True:
        item = compose(rng)
        if not held_out(item.key) and verify(item):
            return item
