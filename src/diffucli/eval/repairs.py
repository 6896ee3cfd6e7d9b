"""Programs that the embedded model knows, broken so that they do not compile; the same ones every time.

Does not know models, nor how a repair is judged.
"""

from __future__ import annotations

import random
from itertools import chain, islice
from typing import TYPE_CHECKING

from diffucli.eval.breaking import KINDS, break_program
from diffucli.eval.problems import RepairProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.mini.classics import ClassicTask
    from diffucli.mini.compositions import Composition

PROGRAMS = 125  # of each kind of fault


def broken_programs(limit: int | None = None) -> list[RepairProblem]:
    """`PROGRAMS` of each kind of fault, at most `limit`; fewer are the first of more.

    They are a solution of a classic task and a composition in turn, such as training has. Their faults are drawn here.
    """
    count = min(limit or PROGRAMS, PROGRAMS)
    return [problem for kind in KINDS for problem in islice(_broken(kind), count)]


def _broken(kind: str) -> Iterator[RepairProblem]:
    rng = random.Random(f"repair/{kind}")
    pairs = zip(_tasks(kind), _compositions(rng), strict=False)
    known = chain.from_iterable(((task.solutions[0], task.tests), (item.code, item.tests)) for task, item in pairs)
    for code, tests in known:
        broken = break_program(random.Random(f"{kind}/{code}"), code, kind)
        if broken is not None:
            yield RepairProblem(f"repair: {kind}", broken, code, tests)


def _tasks(kind: str) -> list[ClassicTask]:
    """A share of the classic tasks, in random order; the kinds share none."""
    from diffucli.mini.classics import classics

    ordered = sorted(classics(), key=lambda task: random.Random(f"repair/{task.name}").random())
    return ordered[list(KINDS).index(kind) :: len(KINDS)]


def _compositions(rng: random.Random) -> Iterator[Composition]:
    """An endless stream of compositions with different codes that are not held out and pass their tests."""
    from diffucli.mini.compositions import compose, held_out, verify

    seen: set[str] = set()
    while True:
        item = compose(rng)
        if not held_out(item.key) and item.code not in seen and verify(item):
            seen.add(item.code)
            yield item
