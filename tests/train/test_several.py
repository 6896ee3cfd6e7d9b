"""Several requests become one, and their code one program that their tests can be run on."""

from __future__ import annotations

import itertools
import random

from diffucli import sandbox
from diffucli.train.mini.several import Piece, asserts, gathered, listed, program, size

ONE = Piece("write one?", "def one():\n    return 1\n", "assert candidate() == 1")
TWO = Piece(
    "a function for two.",
    "import math\n\n\ndef two():\n    return math.floor(2.5)\n",
    "assert candidate() == 2\n",
)
TREE = Piece("a tree", "class Tree:\n    def __init__(self):\n        self.size = 3\n", "assert candidate().size == 3")
AGAIN = Piece("one again", "def one():\n    return 0\n", "assert candidate() == 0")
PIECES = [ONE, TWO, TREE]


def test_the_program_says_what_each_part_answers() -> None:
    assert program([ONE, TWO]) == (
        "# write one\ndef one():\n    return 1\n\n\n"
        "# a function for two\nimport math\n\n\ndef two():\n    return math.floor(2.5)\n"
    )


def test_every_part_is_tested_by_its_own_name() -> None:
    """Where one is wrong or missing, the whole is."""
    assert sandbox.run_tests(program(PIECES), asserts(PIECES)).ok
    assert not sandbox.run_tests(program([AGAIN, TWO, TREE]), asserts(PIECES)).ok
    assert not sandbox.run_tests(program([ONE, TREE]), asserts(PIECES)).ok


def test_requests_are_listed_in_their_order_in_three_ways() -> None:
    found = {listed(random.Random(seed), PIECES) for seed in range(50)}
    assert found == {
        "1. write one\n2. a function for two\n3. a tree",
        "write one\na function for two\na tree",
        "write one; a function for two; a tree",
    }


def test_as_many_are_gathered_as_there_is_room_for() -> None:
    room = size(ONE.commented) + size(TWO.commented)
    assert gathered(PIECES, room, size) == [ONE, TWO]
    assert gathered(PIECES, room + size(TREE.commented), size) == PIECES


def test_two_are_gathered_whatever_the_room() -> None:
    assert gathered(itertools.cycle(PIECES), 0, size) == [ONE, TWO]


def test_no_name_is_taken_twice() -> None:
    assert gathered([ONE, AGAIN, TWO, ONE, TREE], 10**6, size) == PIECES


def test_the_size_is_about_that_in_tokens() -> None:
    assert size("def f(x):\n    return x + 10\n") == 12, "def f ( x ): ⏎ return x + 1 0 ⏎"
