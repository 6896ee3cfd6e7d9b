"""Whether the cost of a fill depends on the size of the file: the same region in generated files of two sizes.

What is measured is a callable that fills a region.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from diffucli.bench.report import Findings
from diffucli.decode.loop import alone
from diffucli.edit.source import from_bytes as read
from diffucli.lab import markdown
from diffucli.tasks.engine import Effort
from diffucli.tasks.fill import fill as fill_job
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint

SIZES = (100, 2000)  # lines
REGION = (4, 8)  # the first and the last line of the region, counted from the middle of the file
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
NAME = Path("generated.py")

Fill = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Growth:
    """What a fill costs in each of SIZES.

    name: Name of the policy.
    seconds: Median wall time of a fill, by size.
    nfe: Number of forwards of the last fill, by size.
    """

    name: str
    seconds: tuple[float, ...]
    nfe: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Time in the largest file divided by time in the smallest."""
        return self.seconds[-1] / self.seconds[0]


def source(lines: int) -> str:
    """A Python file of `lines` lines, a multiple of twenty; a longer file has a shorter one in its middle."""
    half = lines // LINES // 2
    return "".join(FUNCTION.format(number=number) for number in range(FIRST - half, FIRST + half))


def region(lines: int) -> str:
    """The region to fill in `source(lines)`, as a value of `--region`."""
    return "{}:{}".format(*(lines // 2 + row for row in REGION))


def measure(name: str, fill: Fill, *, rounds: int = 1) -> Growth:
    """Fills the region in files of all SIZES in turn, `rounds` times after a first round that does not count.

    fill: fills a region of a text as `diffu fill` does, and returns the number of forwards.
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


def fill_with(checkpoint: Checkpoint, policy: Policy) -> Fill:
    """A callable that fills a region as `diffu fill` does, without repairs, and returns the number of forwards."""

    def fill(text: str, region: str) -> float:
        (job,) = jobs_of([(read(text.encode(), NAME), NAME)], Wanted((region,)))
        run = fill_job(checkpoint, job, policy, verify="warn", effort=Effort(repair=0, doubt=False))
        return pull(alone(checkpoint.network, run)).result.nfe

    return fill


def context_of(checkpoint: Checkpoint) -> int:
    """A context length, in tokens, that is shorter than the smallest file on both sides of its region."""
    return min(checkpoint.config.context, len(checkpoint.tokenizer.encode(source(SIZES[0]))) // 2)


def findings(growths: Sequence[Growth], context: int) -> Findings:
    """One row per policy: seconds and forwards by file size, and their ratio. context: tokens that the model sees."""
    header = ["preset", *(f"{lines} lines, s" for lines in SIZES), "ratio", *(f"{lines} lines, NFE" for lines in SIZES)]
    rows = [
        [each.name, *(f"{s:.3f}" for s in each.seconds), f"{each.ratio:.2f}x", *(f"{nfe:g}" for nfe in each.nfe)]
        for each in growths
    ]
    text = f"A region of 5 lines. The model sees {context} tokens of the file.\n\n{markdown.table(header, rows)}"
    values = [{**asdict(each), "ratio": each.ratio} for each in growths]
    return Findings(text, {"context": context, "lines": SIZES, "fill": values})
