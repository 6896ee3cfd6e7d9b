"""Sources and reductions: examples are packed and unpacked, and wordings have the fields that compositions fill."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.mini.grammar import split
from diffucli.mini.shapes import MAKERS, REDUCTIONS, SOURCES, edge, grouped, ranked

if TYPE_CHECKING:
    from diffucli.mini import shapes

WORDING = {"p", "u", "s", "q", "o", "h", "hs", "a", "b"}
CODE = {"v", "e", "L", "c", "f", "S", "g", "i", "j", "l", "n", "k", "a", "b"}


def fields(form: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(form) if name}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: f"{source.key}-{source.parameter}")
def test_what_is_packed_is_unpacked(source: shapes.ElementSource) -> None:
    """A range holds all numbers up to its largest; digits have no leading zeros; the keys of a dict are different."""
    rng = random.Random(source.key)
    for _ in range(30):
        items: list[Any] = [MAKERS[source.element](rng, ([], []), source.fields) for _ in range(5)]
        found = source.unpack(source.pack(items))
        if source.key == "range":
            assert found == list(range(1, max(items) + 1))
        elif source.key == "digits":
            assert found == list(map(int, str(int("".join(map(str, items))))))
        elif source.element == "item":
            assert found == list(dict(items).items())
        elif source.element != "l" and source.key != "text_words":
            assert found == items


def test_forms_only_have_fields_that_are_filled() -> None:
    for end in REDUCTIONS:
        for form in split(end.nouns) + split(end.verbs):
            assert fields(form) <= WORDING, form
        for code in (end.code, end.bare):
            assert fields(code) <= CODE, code


def test_every_reduction_has_a_source() -> None:
    for end in REDUCTIONS:
        domains = {source.domain for source in SOURCES if source.key in (split(end.only) or [source.key])}
        assert domains & set(end.on) or end.on == "b", end.key


def test_groups_keep_the_order_of_their_elements() -> None:
    assert grouped(["aa", "b", "cc"], len) == {2: ["aa", "cc"], 1: ["b"]}


def test_a_missing_value_is_the_default() -> None:
    assert (edge([1, 2], -1), edge([], 0), edge([1], 1, "none")) == (2, None, "none")


def test_equal_values_keep_their_order_in_both_directions() -> None:
    assert ranked(["bb", "a", "cc"], 1, len) == ["a", "bb", "cc"]
    assert ranked(["bb", "a", "cc"], -1, len) == ["bb", "cc", "a"]
