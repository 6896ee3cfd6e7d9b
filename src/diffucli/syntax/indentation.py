"""Other indentations for the lines around an error, where one of them may be what is wrong.

Knows the look of statements; nothing of tokens or models.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from diffucli.syntax.statements import columns, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.syntax.statements import Statement

MOST_WIDTHS = 6  # indentations that are tried for a line, the nearest ones
NEAR = 8  # statements before a line whose indentations are tried for it
ABOUT = ("indent", "outside function", "outside loop", "not properly in loop")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """`text` in the place of the characters start … stop (half-open)."""

    start: int
    stop: int
    text: str


def is_about_indentation(message: str) -> bool:
    """Whether an error of Python with this message may lie in the indentation of a line."""
    return any(words in message for words in ABOUT)


def reindented(text: str, offset: int) -> list[Rewrite]:
    """What may mend an indentation at `offset`: the line there or the one before it, alone or with what it holds."""
    found = statements(text)
    at = max((i for i, one in enumerate(found) if one.line <= offset), default=None)
    if at is None:
        return []
    tried = (rewrite for i in (at, at - 1) if i >= 0 for rewrite in _moved(text, found, i))
    return list(dict.fromkeys(tried))


def _moved(text: str, found: Sequence[Statement], at: int) -> Iterator[Rewrite]:
    here = found[at]
    last = at
    while last + 1 < len(found) and found[last + 1].indent > here.indent:
        last += 1
    for blanks in _indentations(text, found, at):
        yield Rewrite(here.line, here.start, blanks)
        if last > at:
            old, stop = text[here.line : here.start], found[last].stop
            below = text[here.start : stop].replace("\n" + old, "\n" + blanks)
            yield Rewrite(here.line, stop, blanks + below)


def _indentations(text: str, found: Sequence[Statement], at: int) -> list[str]:
    """Indentations that other statements near have, and one level more than that of the statement before."""
    near = {0: ""} | {one.indent: text[one.line : one.start] for one in found[max(at - NEAR, 0) : at + 2]}
    if at:
        deeper = near[found[at - 1].indent] + _level(text, found)
        near.setdefault(columns(deeper), deeper)
    widths = sorted(near.keys() - {found[at].indent}, key=lambda width: abs(width - found[at].indent))
    return [near[width] for width in widths[:MOST_WIDTHS]]


def _level(text: str, found: Sequence[Statement]) -> str:
    """What a level of indentation adds, mostly."""
    if any(text.startswith("\t", one.line) for one in found):
        return "\t"
    steps = Counter(after.indent - before.indent for before, after in pairwise(found) if before.indent < after.indent)
    return " " * (steps.most_common(1)[0][0] if steps else 4)
