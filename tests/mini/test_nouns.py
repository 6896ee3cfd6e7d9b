"""Names come from the tables, and a collection's element has its name in the singular or a short one."""

from __future__ import annotations

import random

import pytest

from diffucli.mini import nouns
from diffucli.mini.nouns import COLLECTIONS, collection, compound, modified, plural, slot, slots, words


@pytest.mark.parametrize(
    ("one", "many"),
    [("score", "scores"), ("city", "cities"), ("day", "days"), ("box", "boxes"), ("match", "matches"), ("key", "keys")],
)
def test_the_plural(one: str, many: str) -> None:
    assert plural(one) == many


def test_every_slot_has_something_to_draw() -> None:
    rng = random.Random(0)
    elements = {element for element, _ in COLLECTIONS.values()}
    for name in slots():
        if name not in COLLECTIONS and name not in elements:
            drawn = {slot(rng, name) for _ in range(200)}
            assert len(drawn) > 3, name


def test_names_are_names() -> None:
    tables = words()
    for table in ("plain", "short", "compounds"):
        assert all(word.isidentifier() for pool in tables[table].values() for word in pool)
    literal = {"INT", "BIG", "FLT", "SEP"}
    assert all(word.isidentifier() for key, pool in tables["slots"].items() if key not in literal for word in pool)


def test_strings_are_literals() -> None:
    drawn = slot(random.Random(1), "MSG")
    assert drawn[0] == drawn[-1] == '"'
    assert drawn[1:-1] in words()["strings"]["MSG"]


@pytest.mark.parametrize("name", list(COLLECTIONS))
def test_a_collection_and_its_element(name: str) -> None:
    rng = random.Random(2)
    pairs = {collection(rng, name) for _ in range(2000)}
    assert len(pairs) > 600
    short = set(words()["short"][COLLECTIONS[name][1]])
    long = [(many, one) for many, one in pairs if one not in short and len(one) > 1]
    assert any("_" in many and "_" in one for many, one in long)
    assert any("_" in many and "_" not in one for many, one in long)
    assert sum(many.endswith(plural(one)) for many, one in long) > 0.9 * len(long), "the others are irregular"


def test_compounds_are_in_the_number_that_is_asked_for() -> None:
    rng = random.Random(3)
    assert len({compound(rng, many=False) for _ in range(500)}) > 250
    many = [compound(rng, many=True) for _ in range(200)]
    assert all(name.endswith(("s", "people", "children", "vertices", "indices")) for name in many)


def test_a_modifier_is_not_said_twice() -> None:
    rng = random.Random(4)
    found = {modified(rng, "user_name") for _ in range(500)}
    assert "user_user_name" not in found
    assert "user_name" in found
    assert nouns.COMPOUND < 1
