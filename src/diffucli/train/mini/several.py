"""Several requests as one, and the program that answers it: each piece of code under its own request, in their order.

Knows nothing of where the pieces come from.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

FEWEST = 2
MARK = re.compile(r"[a-zA-Z]+|\d|[^\w\s]+|\n")
NUMBERED, LINED = 0.3, 0.3  # of the requests; the others stand in a line, with semicolons between them


@dataclass(frozen=True, slots=True)
class Piece:
    """A request, the code that answers it, and asserts on `candidate`."""

    request: str
    code: str
    tests: str

    @property
    def asked(self) -> str:
        """The request as an item of a list."""
        return self.request.rstrip("?.")

    @property
    def commented(self) -> str:
        """The code under its request, so that it is clear which part answers what."""
        return f"# {self.asked}\n{self.code}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the code defines at its margin; the last is the candidate."""
        kinds = (ast.FunctionDef, ast.ClassDef)
        return tuple(node.name for node in ast.parse(self.code).body if isinstance(node, kinds))


def gathered(pieces: Iterable[Piece], room: int, size: Callable[[str], int]) -> list[Piece]:
    """As many of the first `pieces` as `room` holds, at least two; without those whose names are taken."""
    found: list[Piece] = []
    taken: set[str] = set()
    for piece in pieces:
        if not taken.isdisjoint(piece.names):
            continue
        room -= size(piece.commented)
        if len(found) >= FEWEST and room < 0:
            break
        found.append(piece)
        taken.update(piece.names)
    return found


def size(code: str) -> int:
    """How many words, digits, marks and line ends there are in `code`: about as many as tokens."""
    return len(MARK.findall(code))


def listed(rng: random.Random, pieces: Sequence[Piece]) -> str:
    """The requests of `pieces` as one, in a way that a person would type them."""
    texts = [piece.asked for piece in pieces]
    draw = rng.random()
    if draw < NUMBERED:
        return "\n".join(f"{i}. {text}" for i, text in enumerate(texts, start=1))
    return ("\n" if draw < NUMBERED + LINED else "; ").join(texts)


def program(pieces: Iterable[Piece]) -> str:
    """The code of all, two blank lines apart."""
    return "\n\n".join(piece.commented for piece in pieces)


def asserts(pieces: Iterable[Piece]) -> str:
    """The tests of all, each on what its own code is to define."""
    return "".join(f"candidate = {piece.names[-1]}\n{piece.tests.rstrip()}\n" for piece in pieces)
