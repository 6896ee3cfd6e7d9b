"""Breaks Python programs as people do: a bracket deleted, a colon dropped, an indentation broken, a line cut.

Knows text and whether it compiles; nothing of problems or models.
"""

from __future__ import annotations

import io
import tokenize
from typing import TYPE_CHECKING

from diffucli.syntax import languages
from diffucli.syntax.check import check

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

BRACKETS, COLON = frozenset("()[]{}"), frozenset(":")
SHIFTS = (-4, -3, -2, -1, 1, 2, 3, 4)  # characters by which an indentation changes


def break_program(rng: random.Random, code: str, kind: str) -> str | None:
    """`code` with one fault of a kind of `KINDS`, at a random place; None if no such fault keeps it from compiling."""
    found = list(KINDS[kind](code))
    rng.shuffle(found)
    python = languages.by_name("python")
    return next((text for text in found if not check(text, python).ok), None)


def _without(code: str, marks: frozenset[str]) -> Iterator[str]:
    """`code` without one of its tokens `marks`; those in strings and comments are no tokens."""
    starts = [0]
    for line in code.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.OP and token.string in marks:
            at = starts[token.start[0] - 1] + token.start[1]
            yield code[:at] + code[at + 1 :]


def _other_indents(code: str) -> Iterator[str]:
    """`code` with the indentation of one line changed by up to four blanks."""
    for before, line, after in _lines(code):
        content = line.lstrip(" ")
        indent = len(line) - len(content)
        for width in {max(indent + shift, 0) for shift in SHIFTS} - {indent}:
            yield before + " " * width + content + after


def _cut_lines(code: str) -> Iterator[str]:
    """`code` with one line cut behind one of its characters; at least one character goes."""
    for before, line, after in _lines(code):
        indent = len(line) - len(line.lstrip())
        for stop in range(indent + 1, len(line.rstrip())):
            yield before + line[:stop] + after


def _lines(code: str) -> Iterator[tuple[str, str, str]]:
    """Each line that is not blank, without its end, and the text on both sides of it."""
    start = 0
    for line in code.splitlines(keepends=True):
        content = line.rstrip("\n")
        if content.strip():
            yield code[:start], content, code[start + len(content) :]
        start += len(line)


KINDS: dict[str, Callable[[str], Iterator[str]]] = {
    "bracket deleted": lambda code: _without(code, BRACKETS),
    "colon dropped": lambda code: _without(code, COLON),
    "indentation broken": _other_indents,
    "line cut": _cut_lines,
}
