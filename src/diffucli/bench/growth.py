"""Does a fill cost what its hole costs, or what its file does: one region in generated files of two sizes.

Knows no model: who measures brings a callable that fills.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

SIZES = (100, 2000)  # lines
REGION = (4, 8)  # five lines of the function in the middle
FUNCTION = '''\
def count_{number}(items: list[int], limit: int = {number}) -> int:
    """Says how many items lie below the limit, less those that do not."""
    total = 0
    for item in items:
        if item < limit:
            total += 1
        else:
            total -= 1
    return total

'''
LINES = FUNCTION.count("\n")
FIRST = 5000  # the number of the function in the middle

Fill = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Growth:
    """Fills by `name`. seconds: of the middle one, for each of SIZES; nfe: forwards of the last."""

    name: str
    seconds: tuple[float, ...]
    nfe: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """What the largest file costs in multiples of the smallest."""
        return self.seconds[-1] / self.seconds[0]


def source(lines: int) -> str:
    """A Python file of `lines` lines, a multiple of twenty; the middle of a longer one is the shorter one."""
    half = lines // LINES // 2
    return "".join(FUNCTION.format(number=number) for number in range(FIRST - half, FIRST + half))


def region(lines: int) -> str:
    """The region of such a file, as `-r` has it."""
    return "{}:{}".format(*(lines // 2 + row for row in REGION))


def measure(name: str, fill: Fill, *, rounds: int = 1) -> Growth:
    """The region filled in files of all SIZES in turn, each once before it counts.

    fill: does all that `diffu fill` does with a text and a region, and gives the forwards spent.
    """
    seconds: list[list[float]] = [[] for _ in SIZES]
    nfe: list[float] = [0 for _ in SIZES]
    for lap in range(rounds + 1):
        for i, lines in enumerate(SIZES):
            text, begun = source(lines), time.perf_counter()
            nfe[i] = fill(text, region(lines))
            if lap:
                seconds[i].append(time.perf_counter() - begun)
    return Growth(name, tuple(map(median, seconds)), tuple(nfe))
