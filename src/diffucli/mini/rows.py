"""Training rows: tasks, compositions and open code laid out as canvases, exactly as decoding lays them out.

A row has its full content; which tokens are masked is decided by the objective.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli.decode.canvas import Span
from diffucli.mini import everyday
from diffucli.mini.classics import classics, draw_request, draw_summary, programs
from diffucli.mini.compositions import Composition, compose, held_out, verify
from diffucli.mini.holes import cut, cut_several
from diffucli.mini.renaming import rename
from diffucli.mini.wording import sentence
from diffucli.tasks import prompt
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.mini.corpus import Function
    from diffucli.mini.holes import Range
    from diffucli.model.tokenizer import Tokenizer

LONGEST = 320  # tokens of a row
PADDING = {1: 15, 8: 25, 24: 25, 64: 20, 128: 10, DEFAULT_ANSWER_TOKENS: 5}  # bound on an answer's padding → weight
CAUSAL_PADDING = {4: 1}  # the same in the causal stage, which cannot see the padding
SHARES = (21, 5, 18, 25, 24, 7)  # weights of tasks, programs, compositions, and holes: in these, everyday, open code
POLISH_SHARES = (23, 5, 18, 24, 24, 6)  # the same in the last stage; tasks have the longest answers and learn slowest
RENAMED, REQUESTED, DOCUMENTED, ACCOMPANIED = 0.8, 0.15, 0.3, 0.25  # probabilities of holes in known code
CUT_TOKENS, SEVERAL = 0.15, 0.15  # probabilities of holes at token boundaries, and of several small holes
EXACT, TIGHT = 0.5, 0.5  # probabilities of no padding, and of the smallest canvas that has room if there is padding
CANVASES = (6, 12, 20, 40)  # tokens of the padded holes in which decoding tries to fill a hole of free length
HEAD = re.compile(r"^(?:def|class) [^\n]*:\n(?= +)", re.MULTILINE)
RowKind = Literal["task", "composition", "task fill", "composition fill", "everyday fill", "open fill"]


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
            self.fill_everyday,
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
        return TrainingRow(self._with_content(layout, [content]), layout.holes, answers=True, kind=kind, code=code)

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
        if rng.random() < CUT_TOKENS:
            return self.fill_tokens(rng, rename(rng, (code, "", ""))[0], kind=kind)
        if rng.random() < SEVERAL:
            code = rename(rng, (code, "", ""))[0]
            return self.fill(rng, code, cut_several(rng, code, rng.randint(2, 4)), None, kind=kind)
        start, stop = cut(rng, code)
        parts = code[:start], code[start:stop], code[stop:]
        before, text, after = rename(rng, parts) if rng.random() < RENAMED else parts
        before = with_docstring(before, summary) if rng.random() < DOCUMENTED else before
        above, below = neighbours(rng) if rng.random() < ACCOMPANIED else ("", "")
        before, after = above + before, after + below
        hole = len(before), len(before + text)
        shown = request if rng.random() < REQUESTED else None
        return self.fill(rng, before + text + after, [hole], shown, kind=kind)

    def fill_everyday(self, rng: random.Random) -> TrainingRow:
        """A hole in a small program with ordinary names; sometimes another program is above or below it."""
        program = everyday.draw(rng)
        if rng.random() < CUT_TOKENS:
            return self.fill_tokens(rng, program.code, kind="everyday fill")
        if rng.random() < SEVERAL:
            holes = cut_several(rng, program.code, rng.randint(2, 4))
            return self.fill(rng, program.code, holes, None, kind="everyday fill")
        start, stop = cut(rng, program.code)
        above, below = everyday_neighbours(rng) if rng.random() < ACCOMPANIED else ("", "")
        hole = len(above) + start, len(above) + stop
        request = program.request if rng.random() < REQUESTED else None
        return self.fill(rng, above + program.code + below, [hole], request, kind="everyday fill")

    def fill_open(self, rng: random.Random) -> TrainingRow:
        """A hole in open code."""
        function = rng.choice(self.functions)
        if rng.random() < CUT_TOKENS:
            return self.fill_tokens(rng, function.code, kind="open fill")
        request = function.summary if rng.random() < REQUESTED else None
        return self.fill(rng, function.code, [cut(rng, function.code)], request, kind="open fill")

    def fill(
        self, rng: random.Random, code: str, ranges: Sequence[Range], request: str | None, *, kind: RowKind
    ) -> TrainingRow:
        """Holes at `ranges` of characters of `code`, perhaps with padding if there is only one."""
        ends = [0, *(end for each in ranges for end in each), len(code)]
        parts = [code[start:stop] for start, stop in zip(ends[::2], ends[1::2], strict=True)]
        texts = [code[start:stop] for start, stop in ranges]
        held = [self.tokenizer.encode(prompt.inside(part, text)) for part, text in zip(parts, texts, strict=False)]
        sizes = [len(each) for each in held]
        if len(held) == 1:
            sizes[0] += hole_padding(rng, sizes[0])
        layout = prompt.file(self.tokenizer, parts, sizes, request=request)
        return TrainingRow(self._with_content(layout, held), layout.holes, answers=False, kind=kind, code=code)

    def fill_tokens(self, rng: random.Random, code: str, *, kind: RowKind) -> TrainingRow:
        """Holes of whole tokens of `code` without padding, as a repair masks them: one or more runs of tokens."""
        tokens = tuple(self.tokenizer.encode(code))
        runs, longest = rng.choice(((1, 3), (1, 12), (2, 3), (4, 1), (6, 1), (8, 2)))
        starts = sorted(rng.sample(range(len(tokens)), min(runs, len(tokens))))
        ends = [*starts[1:], len(tokens)]
        holes = tuple(
            Span(start, min(start + rng.randint(1, longest), end)) for start, end in zip(starts, ends, strict=True)
        )
        return TrainingRow(tokens, holes, answers=False, kind=kind, code=code)

    def _with_content(self, layout: prompt.Layout, held: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The canvas with the content of each hole, and padding behind it."""
        tokens = list(layout.tokens)
        for span, content in zip(layout.holes, held, strict=True):
            padding = [self.tokenizer.pad] * (len(span) - len(content))
            tokens[span.start : span.stop] = [*content, *padding]
        return tuple(tokens)


def hole_padding(rng: random.Random, used: int) -> int:
    """A random number of padding tokens after `used` tokens in a hole: none, or up to the size of a canvas."""
    if rng.random() < EXACT:
        return 0
    room = [size - used for size in CANVASES if size >= used]
    if not room or rng.random() < 0.2:
        return rng.choice((1, rng.randrange(1, 4), rng.randrange(1, 16)))
    return room[0] if rng.random() < TIGHT else rng.choice(room)


def with_docstring(before: str, summary: str) -> str:
    """The code before a hole, with the docstring `summary` in its last top-level function or class."""
    ends = [found.end() for found in HEAD.finditer(before)]
    return f'{before[: ends[-1]]}    """{summary}"""\n{before[ends[-1] :]}' if ends else before


def neighbours(rng: random.Random) -> tuple[str, str]:
    """Code to put above and below other code: a solution of a random task on one side, with blank lines."""
    other = rng.choice(rng.choice(classics()).solutions)
    return (f"{other}\n\n", "") if rng.random() < 0.5 else ("", f"\n\n{other}")


def everyday_neighbours(rng: random.Random) -> tuple[str, str]:
    """Another everyday program to put above or below one, with blank lines."""
    other = everyday.draw(rng).code
    return (f"{other}\n\n", "") if rng.random() < 0.5 else ("", f"\n\n{other}")


def trained_composition(rng: random.Random) -> Composition:
    """A random composition that is not held out and whose code passes its tests."""
    while True:
        item = compose(rng)
        if not held_out(item.key) and verify(item):
            return item
