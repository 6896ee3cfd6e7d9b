"""What is kept from training, as plain values to be measured on: phrasings, compositions, and holes in code.

Knows nothing of models or of how an answer is judged.
"""

from __future__ import annotations

import ast
import random
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from diffucli.mini import corpus
from diffucli.mini.classics import Classic, classics
from diffucli.mini.compositions import Composition, compose, held_out, verify
from diffucli.mini.renaming import rename
from diffucli.mini.rows import documented
from diffucli.mini.wording import ask, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHORTEST, LONGEST = 8, 60  # characters of a line to fill in


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and asserts on `candidate`."""

    text: str
    tests: str


@dataclass(frozen=True, slots=True)
class Hole:
    """What stood in a hole and the code on both sides of it; asserts on `candidate`, where there are any."""

    before: str
    text: str
    after: str
    tests: str = ""


def phrasings(seed: int = 0, tasks: Sequence[Classic] = ()) -> list[Request]:
    """Every held-out phrase of `tasks`, or of all, in one frame, in the order of the tasks."""
    return [
        Request(ask(random.Random(f"{seed}/{phrase}"), phrase, verb=verb), task.tests)
        for task in tasks or classics()
        for phrase, verb in task.phrases(held_out=True)
    ]


def compositions(count: int, seed: int = 0) -> list[Request]:
    """`count` compositions that no training row may hold, each key once."""
    return [Request(item.instruction, item.tests) for item in islice(drawn(random.Random(seed)), count)]


def bodies(count: int, seed: int = 0) -> list[Hole]:
    """The bodies of `count` compositions held out, in other names; a docstring says what is wanted."""
    rng = random.Random(seed)
    return [_body(rng, item) for item in islice(drawn(random.Random(seed)), count)]


def known_lines(count: int, seed: int = 0) -> list[Hole]:
    """A line of the solutions of `count` tasks each, in other names than they were trained in; without a request."""
    rng = random.Random(seed)
    found: list[Hole] = []
    for task in rng.sample(classics(), len(classics())):
        if options := _lines(task.solutions[0]):
            line = rng.choice(options)
            found.append(Hole(*rename(rng, (line.before, line.text, line.after)), task.tests))
    return found[:count]


def lines(count: int, seed: int = 0) -> list[Hole]:
    """`count` lines of functions of the packages held out, one a function; fewer where these are not installed."""
    rng = random.Random(seed)
    code = dict.fromkeys(function.code for function in corpus.functions(corpus.HELD_OUT))
    found = [rng.choice(each) for each in map(_lines, code) if each]
    return rng.sample(found, min(count, len(found)))


def drawn(rng: random.Random) -> Iterator[Composition]:
    """Verified compositions that are held out, each key once, for ever."""
    seen: set[str] = set()
    while True:
        item = compose(rng)
        if held_out(item.key) and item.key not in seen and verify(item):
            seen.add(item.key)
            yield item


def _body(rng: random.Random, item: Composition) -> Hole:
    """All below the head of the composition's function, which is the last thing in its code."""
    head, body = re.split(r"(?<=:\n)(?=    )", item.code, maxsplit=1)
    before, text, after = rename(rng, (f"{head}    ", body.strip(), "\n"))
    return Hole(documented(before, sentence(item.instruction)), text, after, item.tests)


def _lines(code: str) -> Sequence[Hole]:
    """The statements inside functions that are one line each."""
    texts = code.splitlines(keepends=True)
    functions = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    inner = (node for each in functions for node in ast.walk(each) if isinstance(node, ast.stmt) and node is not each)
    numbers = sorted({node.lineno - 1 for node in inner if node.lineno == node.end_lineno})
    return [_cut(texts, i) for i in numbers if SHORTEST <= len(texts[i].strip()) <= LONGEST]


def _cut(texts: Sequence[str], number: int) -> Hole:
    text = texts[number].strip()
    start = texts[number].index(text)
    before, after = "".join(texts[:number]), "".join(texts[number + 1 :])
    return Hole(before + texts[number][:start], text, texts[number][start + len(text) :] + after)
