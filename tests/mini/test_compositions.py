import dataclasses
import random
import re
from collections import Counter

import pytest

from diffucli.mini.compositions import Composition, compose, held_out, verify


@pytest.fixture(scope="module")
def drawn() -> list[Composition]:
    rng = random.Random(5)
    return [compose(rng) for _ in range(20_000)]


def pieces(key: str) -> list[str]:
    return [piece for piece in re.split(r"[/+.]", key) if piece != "-"]


def test_a_seed_draws_the_same_compositions():
    first, second = random.Random(3), random.Random(3)
    assert [compose(first) for _ in range(50)] == [compose(second) for _ in range(50)]


def test_solutions_pass_the_tests_made_from_their_meaning(drawn):
    assert [item for item in drawn[:1500] if not verify(item)] == []


def test_wrong_solutions_fail():
    item = Composition(
        "numbers/even/square/sum",
        "sum of the squares of the even numbers",
        "def sum_even_squares(numbers):\n    return sum(x * x for x in numbers if x % 2 == 0)\n",
        "assert candidate([1, 2, 4]) == 20\nassert candidate([]) == 0\n",
    )
    assert verify(item)
    assert not verify(dataclasses.replace(item, code=item.code.replace("x * x", "x")))
    assert not verify(dataclasses.replace(item, code="def broken(:\n"))


@pytest.mark.parametrize(("right", "wrong"), [("return sum(", "return -1 - sum("), (" > ", " <= "), ("max((", "min((")])
def test_drawn_tests_notice_a_wrong_solution(drawn, right, wrong):
    changed = [dataclasses.replace(i, code=i.code.replace(right, wrong)) for i in drawn[:3000] if right in i.code]
    assert len(changed) > 20
    assert sum(verify(item) for item in changed) < len(changed) * 0.25


def test_there_are_more_than_a_hundred_thousand_programs(drawn):
    times = Counter(Counter(item.code for item in drawn).values())
    # Chao's estimate from what was drawn once and twice: a lower bound of how many programs there are.
    assert sum(times.values()) + times[1] ** 2 / (2 * times[2]) > 100_000
    assert len({item.code for item in drawn}) > 0.6 * len(drawn)
    assert len({item.key for item in drawn}) > 4000


def test_a_few_percent_of_the_keys_are_held_out(drawn):
    keys = {item.key for item in drawn}
    assert 0.02 < sum(map(held_out, keys)) / len(keys) < 0.07
    assert 0.01 < sum(held_out(item.key) for item in drawn) / len(drawn) < 0.07


def test_held_out_compositions_are_new_combinations_of_known_pieces(drawn):
    known = Counter(piece for item in drawn if not held_out(item.key) for piece in set(pieces(item.key)))
    assert {piece for item in drawn if held_out(item.key) for piece in pieces(item.key) if known[piece] < 10} == set()


def test_a_single_piece_is_never_held_out():
    assert not any(held_out(f"numbers/-/-/{number}") for number in range(500))


def test_instructions_are_short_and_bare(drawn):
    assert all("@" not in item.instruction and "  " not in item.instruction for item in drawn)
    assert all("{" not in item.instruction and item.instruction[-1] != "." for item in drawn if '"' not in item.code)


def test_programs_are_short_functions(drawn):
    bodies = [item.code[item.code.index("def ") :].splitlines() for item in drawn]
    assert max(map(len, bodies)) <= 6
    assert 2 <= sum(map(len, bodies)) / len(bodies) <= 3
