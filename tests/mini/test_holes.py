"""Holes are cut where people and repairs cut them, and never through a name."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.mini.classics import classics
from diffucli.mini.holes import WEIGHTS, cut, cut_several, ranges

CODE = '''\
def above(scores, limit=3):
    """The scores above a limit."""
    if not scores:
        return []
    found = [score for score in scores if score > limit]
    print("€", len(found))
    return found
'''
CUT_NAME = re.compile(r"\w\|\w")


def texts(kind: str, code: str = CODE) -> list[str]:
    return [code[start:stop] for start, stop in ranges(code).get(kind, [])]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("condition", ["not scores"]),
        ("returned", ["[]", "found"]),
        ("value", ["[score for score in scores if score > limit]"]),
        ("block", ["return []"]),
        ("arguments", ['"€", len(found)', "found"]),
        ("element", ['"€"', "len(found)", "found", "score", "scores", "score > limit"]),
        ("operator", ["=", "not", "=", "in", ">"]),
    ],
)
def test_each_kind_of_hole(kind: str, expected: list[str]) -> None:
    assert sorted(texts(kind)) == sorted(expected)


def test_a_body_leaves_the_docstring_outside() -> None:
    (body,) = texts("body")
    assert body.startswith("if not scores:")
    assert body.endswith("return found")


def test_lines_are_without_indentation() -> None:
    assert texts("line") == [line.strip() for line in CODE.splitlines()]
    assert {len(text.splitlines()) for text in texts("lines")} == {2, 3, 4}
    assert not any(text.startswith(" ") for text in texts("lines"))


def test_small_holes_are_brackets_and_keywords() -> None:
    assert {"def", "(", "[", "]", ":", "return"} <= set(texts("small"))
    assert "scores" not in texts("small")
    assert {"above", "scores", "len"} <= set(texts("name"))


def test_code_without_statements_of_a_kind_lacks_it() -> None:
    assert not texts("condition", "x = 1\n")
    assert texts("value", "x = 1\n") == ["1"]


@given(seed=st.integers(0, 10**6), number=st.integers(0, 10**6))
def test_a_hole_cuts_through_no_name(seed: int, number: int) -> None:
    code = classics()[number % len(classics())].solutions[0]
    start, stop = cut(random.Random(seed), code)
    assert 0 <= start < stop <= len(code)
    assert not CUT_NAME.search(f"{code[:start][-1:]}|{code[start]}")
    assert not CUT_NAME.search(f"{code[stop - 1]}|{code[stop : stop + 1]}")


def test_an_underscore_is_part_of_a_name() -> None:
    cuts = {"x_1 = row_a + 1\n"[a:b] for kind in ("part", "tail") for a, b in ranges("x_1 = row_a + 1\n")[kind]}
    assert cuts
    assert not any(text.startswith(("_", "1 =", "a")) or text.endswith("_") for text in cuts)


def test_kinds_come_by_their_weights() -> None:
    rng = random.Random(0)
    found = Counter(cut(rng, CODE) for _ in range(2000))
    (body,) = ranges(CODE)["body"]
    assert found[body] / 2000 == pytest.approx(WEIGHTS["body"] / sum(WEIGHTS.values()), abs=0.03)
    assert {cut(rng, CODE, {"condition": 1}) for _ in range(20)} == set(ranges(CODE)["condition"])


@given(seed=st.integers(0, 10**6))
def test_several_holes_do_not_touch(seed: int) -> None:
    found = cut_several(random.Random(seed), CODE, 4)
    assert 1 <= len(found) <= 4
    assert all(stop < start for (_, stop), (start, _) in pairwise(found))
