"""How often a piece of a composition is drawn: what people ask for every day comes more often than the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

USUAL = 2  # times as often
PREDICATES = (
    "even odd positive negative greater less divisible prime vowel starting ending containing longer shorter sized"
)
MAPS = "uppercase palindrome square cube double length upper lower reverse absolute"
REDUCTIONS = (
    "sum count max min average list only product sorted descending first unique longest shortest joined text removed"
)
EVERYDAY = frozenset(f"{PREDICATES} {MAPS} {REDUCTIONS}".split())


class Piece(Protocol):
    """Anything a composition is made of."""

    @property
    def key(self) -> str:
        """Its name in a composition's key."""
        ...


P = TypeVar("P", bound=Piece)


def weighted(pieces: Iterable[P]) -> tuple[P, ...]:
    """`pieces`, the everyday ones `USUAL` times, for an even choice among them."""
    return tuple(piece for piece in pieces for _ in range(USUAL if piece.key in EVERYDAY else 1))
