"""Pieces: wordings are well formed, and the code of every piece agrees with its oracle."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.mini import grammar, shapes
from diffucli.mini.grammar import COMMON, COMMON_WEIGHT, MAPS, PREDICATES, filled, paired, split, weighted

ELEMENTS = {"n": "n", "w": "w", "l": "l", "c": "c", "m": "m"}  # domain → maker of an element


def elements(domain: str, rng: random.Random) -> list[Any]:
    """Random elements of a domain, with those that predicates are about."""
    hints: shapes.Hints = ([2, 3, 12], ["a", "xyz"])
    return [shapes.MAKERS[ELEMENTS[domain]](rng, hints, ()) for _ in range(60)]


def computed(code: str, drawn: tuple[Any, ...], element: Any) -> Any:
    """What a piece's code gives for an element."""
    return eval(filled(code, drawn, v="v"), {"math": __import__("math"), "v": element})


def drawn_for(kinds: str, domain: str, rng: random.Random) -> tuple[Any, ...]:
    drawn: tuple[Any, ...] = ()
    for kind in split(kinds):
        drawn = (*drawn, grammar.KINDS[kind](rng, domain, (), drawn))
    return drawn


@pytest.mark.parametrize("piece", PREDICATES, ids=lambda piece: f"{piece.key}-{piece.on}")
def test_the_code_of_a_predicate_agrees_with_its_oracle(piece: grammar.Predicate) -> None:
    rng, compared = random.Random(piece.key), 0
    for domain in set(piece.on) & set(ELEMENTS):
        for element in elements(domain, rng):
            drawn = drawn_for(piece.kinds, domain, rng)
            try:
                value = computed(piece.code, drawn, element)
            except (IndexError, ValueError):
                continue  # an empty word has no first letter; compositions never draw one for it
            compared += 1
            assert bool(value) == bool(piece.holds(element, *drawn)), (element, drawn)
    assert compared > 20


@pytest.mark.parametrize("piece", MAPS, ids=lambda piece: f"{piece.key}-{piece.on}")
def test_the_code_of_a_map_agrees_with_its_oracle(piece: grammar.Map) -> None:
    rng, compared = random.Random(piece.key), 0
    for domain in set(piece.on) & set(ELEMENTS):
        for element in elements(domain, rng):
            drawn = drawn_for(piece.kinds, domain, rng)
            try:
                value = computed(piece.code, drawn, element)
            except (IndexError, ValueError):
                continue
            compared += 1
            assert value == piece.apply(element, *drawn), (element, drawn)
    assert compared > 20


def test_every_common_piece_exists_and_is_drawn_more_often() -> None:
    pieces = (*PREDICATES, *MAPS, *shapes.REDUCTIONS)
    assert {piece.key for piece in pieces} >= set(COMMON)
    for piece in pieces:
        assert len(weighted([piece])) == (COMMON_WEIGHT if piece.key in COMMON else 1)


def test_a_verb_gets_its_singular_by_rule() -> None:
    assert paired("start with a vowel") == ("start with a vowel", "starts with a vowel")
    assert paired("are even") == ("are even", "is even")
    assert paired("have one digit") == ("have one digit", "has one digit")
    assert paired("primes/prime") == ("primes", "prime")


def test_alternatives_are_split_and_an_empty_cell_has_none() -> None:
    assert split("a|b") == ["a", "b"]
    assert split("") == []


@given(st.integers(-(10**6), 10**6))
def test_digits_and_primes(x: int) -> None:
    assert "".join(map(str, grammar.digits(x))) == str(abs(x))
    assert grammar.is_prime(x) == (x > 1 and all(x % i for i in range(2, min(x, 1001))))
