"""The statements of a Python text as a reader sees them, also of one that does not parse.

A bracket that is never closed takes all that follows into one statement for a parser. For a reader the statement ends
where the next line is a statement by its look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\r\n]*)
    |(?P<text>'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\r\n]|\\.)*'?|"(?:[^"\\\r\n]|\\.)*"?)
    |(?P<newline>\r\n|\r|\n)
    |(?P<word>\w+)
    |(?P<sign>[^\s])""",
    re.DOTALL | re.VERBOSE,
)
_OPENERS, _CLOSERS = frozenset("([{"), frozenset(")]}")
_BEGINS = frozenset(
    {"def", "class", "return", "while", "with", "try", "import", "raise", "assert", "pass", "break", "continue", "del"}
    | {"global", "nonlocal", "elif", "except", "finally", "@"}
)
_MAY_BEGIN = frozenset({"for", "if", "else", "async", "match", "case"})  # those that end with a colon
_OPERATORS = frozenset("+-*/%|&^<>=.,") | {"and", "or", "in", "is", "not", "if", "else", "for", "lambda", "async"}
_TAB = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, or the head of a block.

    start, stop: half-open character offsets, without the indentation. line: the offset where its first line starts.
    indent: the columns of its indentation. first: its first token. opened: how many brackets it leaves open.
    """

    start: int
    stop: int
    line: int
    indent: int
    first: str
    opened: int


@dataclass(slots=True)
class _Line:
    """A line with all lines of the strings that begin in it. opened: how many brackets more it opens than it closes."""

    line: int
    start: int
    stop: int
    indent: int
    first: str
    last: str = ""
    opened: int = 0


def statements(text: str) -> list[Statement]:
    """The statements of `text` in order; blank lines and comments are none."""
    lines = _lines(text)
    sums = list(accumulate(line.opened for line in lines))
    lowest = _lowest(lines, sums)
    found: list[Statement] = []
    at = 0
    while at < len(lines):
        first = lines[at]
        end, depth = _end(lines, sums, lowest, at)
        found.append(Statement(first.start, lines[end].stop, first.line, first.indent, first.first, depth))
        at = end + 1
    return found


def _lowest(lines: Sequence[_Line], sums: Sequence[int]) -> list[float]:
    """For each line the lowest of the `sums` from it up to the next line that begins a statement by its first word."""
    found: list[float] = [inf] * (len(lines) + 1)
    for at in reversed(range(len(lines))):
        found[at] = inf if _begins(lines[at]) else min(sums[at], found[at + 1])
    return found


def _end(lines: Sequence[_Line], sums: Sequence[int], lowest: Sequence[float], at: int) -> tuple[int, int]:
    """The last line of the statement that begins with line `at`, and how many brackets it leaves open.

    sums: for each line how many brackets are open behind it. lowest: as `_lowest` gives it.
    """
    depth, end = max(lines[at].opened, 0), at
    while end + 1 < len(lines) and (depth or lines[end].last == "\\"):
        step = int(_continues(lines, at, end))
        if not step and lowest[end + 1] <= sums[end] - depth:
            step = _closing(lines, at, end, depth)
        if not step:
            break
        depth = max(depth + sums[end + step] - sums[end], 0)
        end += step
    return end, depth


def _continues(lines: Sequence[_Line], at: int, end: int) -> bool:
    """Whether the line behind `end` belongs to the statement of line `at` by the look of both."""
    before, line = lines[end], lines[end + 1]
    if before.last == "\\" or line.first in _CLOSERS:
        return True
    return not _begins(line) and line.indent > lines[at].indent and _joins(before, line)


def _begins(line: _Line) -> bool:
    """Whether a line is a statement of its own by its first word."""
    return line.first in _BEGINS or (line.first in _MAY_BEGIN and line.last == ":")


def _joins(before: _Line, line: _Line) -> bool:
    """Whether two lines are one by the end of the first or the beginning of the second."""
    return before.last in _OPENERS | _OPERATORS or line.first in _OPERATORS


def _closing(lines: Sequence[_Line], at: int, end: int, depth: int) -> int:
    """How many lines behind `end` belong together and close all brackets; 0 if none do."""
    for last in range(end + 1, len(lines)):
        line = lines[last]
        if _begins(line):
            break
        if line.indent <= lines[at].indent and line.first not in _CLOSERS and not _joins(lines[last - 1], line):
            break
        depth += line.opened
        if depth <= 0:
            return last - end
    return 0


def _lines(text: str) -> list[_Line]:
    """The lines that hold more than blanks and comments."""
    found: list[_Line] = []
    line, fresh = 0, True
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "newline":
            line, fresh = match.end(), True
        elif kind != "comment" and fresh:
            found.append(_Line(line, match.start(), 0, columns(text[line : match.start()]), token))
            fresh = False
        if kind not in {"newline", "comment"}:
            found[-1].last, found[-1].stop = token, match.end()
            found[-1].opened += (token in _OPENERS) - (token in _CLOSERS)
    return found


def columns(indentation: str) -> int:
    """The width of an indentation; a tab goes to the next multiple of 8."""
    return len(indentation.expandtabs(_TAB))
