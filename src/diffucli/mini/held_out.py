"""What is held out of training, as plain values: phrasings, compositions, and holes in code.

Does not know models, nor how an answer is judged.
"""

from __future__ import annotations

import ast
import random
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from diffucli.mini import corpus
from diffucli.mini.classics import ClassicTask, classics
from diffucli.mini.compositions import Composition, compose, held_out, verify
from diffucli.mini.renaming import rename
from diffucli.mini.rows import with_docstring
from diffucli.mini.wording import sentence, to_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHORTEST, LONGEST = 8, 60  # characters of a line to fill in


@dataclass(frozen=True, slots=True)
class HeldOutRequest:
    """A request, and asserts on `candidate`."""

    text: str
    tests: str


@dataclass(frozen=True, slots=True)
class HeldOutHole:
    """A hole in code: the code before it, the text that was cut out, the code after it.

    tests: asserts on `candidate`; empty if there are none.
    """

    before: str
    text: str
    after: str
    tests: str = ""


def phrasings(seed: int = 0, tasks: Sequence[ClassicTask] = ()) -> list[HeldOutRequest]:
    """Every held-out phrase of `tasks` (all tasks if empty) in one random frame, in the order of the tasks."""
    return [
        HeldOutRequest(to_request(random.Random(f"{seed}/{phrase}"), phrase, verb=verb), task.tests)
        for task in tasks or classics()
        for phrase, verb in task.phrases(held_out=True)
    ]


def compositions(count: int, seed: int = 0) -> list[HeldOutRequest]:
    """`count` held-out compositions with different keys."""
    return [HeldOutRequest(item.instruction, item.tests) for item in islice(drawn(random.Random(seed)), count)]


def bodies(count: int, seed: int = 0) -> list[HeldOutHole]:
    """The bodies of `count` held-out compositions, with renamed variables and a docstring that describes them."""
    rng = random.Random(seed)
    return [_body(rng, item) for item in islice(drawn(random.Random(seed)), count)]


def known_lines(count: int, seed: int = 0) -> list[HeldOutHole]:
    """One line of a solution of each of `count` tasks, with variable names that were not trained; without a request."""
    rng = random.Random(seed)
    found: list[HeldOutHole] = []
    for task in rng.sample(classics(), len(classics())):
        if options := _lines(task.solutions[0]):
            line = rng.choice(options)
            found.append(HeldOutHole(*rename(rng, (line.before, line.text, line.after)), task.tests))
    return found[:count]


def lines(count: int, seed: int = 0) -> list[HeldOutHole]:
    """One line of each of `count` functions of the held-out packages; fewer if these are not installed."""
    rng = random.Random(seed)
    code = dict.fromkeys(function.code for function in corpus.functions(corpus.HELD_OUT))
    found = [rng.choice(each) for each in map(_lines, code) if each]
    return rng.sample(found, min(count, len(found)))


def drawn(rng: random.Random) -> Iterator[Composition]:
    """An endless stream of held-out compositions with different keys, whose code passes its tests."""
    seen: set[str] = set()
    while True:
        item = compose(rng)
        if held_out(item.key) and item.key not in seen and verify(item):
            seen.add(item.key)
            yield item


def _body(rng: random.Random, item: Composition) -> HeldOutHole:
    """The body of the composition's function, which is the last part of its code."""
    head, body = re.split(r"(?<=:\n)(?=    )", item.code, maxsplit=1)
    before, text, after = rename(rng, (f"{head}    ", body.strip(), "\n"))
    return HeldOutHole(with_docstring(before, sentence(item.instruction)), text, after, item.tests)


def _lines(code: str) -> Sequence[HeldOutHole]:
    """The statements inside functions that are one line each."""
    texts = code.splitlines(keepends=True)
    functions = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    inner = (node for each in functions for node in ast.walk(each) if isinstance(node, ast.stmt) and node is not each)
    numbers = sorted({node.lineno - 1 for node in inner if node.lineno == node.end_lineno})
    return [_cut(texts, i) for i in numbers if SHORTEST <= len(texts[i].strip()) <= LONGEST]


def _cut(texts: Sequence[str], number: int) -> HeldOutHole:
    text = texts[number].strip()
    start = texts[number].index(text)
    before, after = "".join(texts[:number]), "".join(texts[number + 1 :])
    return HeldOutHole(before + texts[number][:start], text, texts[number][start + len(text) :] + after)
