"""Policies: one value that says how a canvas is written, and the presets that have names.

A published method is a policy, never a loop of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.decode.commit import Rule, Threshold, TopK, linear
from diffucli.decode.sample import GREEDY, Sampling

if TYPE_CHECKING:
    from diffucli.decode.predict import Cache


@dataclass(frozen=True, slots=True)
class Policy:
    """How a canvas is written.

    commit: which proposals become tokens. sampling: how tokens are drawn and ranked. steps: length of the schedule,
    shared out among the blocks by their masks; None: one a mask. budget: forwards after which the run ends in any case.
    block: longest window written at a time; None: the whole canvas. by_line: it ends early, where a line surely does.
    cache: whose keys and values are kept within a window: of what stands before it, of both sides ("dual"), of nothing.
    suffix: masks kept visible behind the window; None: all. stop: an end token closes its hole. seed: of every draw.
    speculate: guesses of the canvases to come that are evaluated with each forward; what is written is the same.
    by_line, cache, suffix, stop and speculate are for who builds rules, predictor and canvas; the loop reads the rest.
    """

    commit: Rule
    sampling: Sampling = GREEDY
    steps: int | None = None
    budget: int | None = None
    block: int | None = None
    by_line: bool = False
    cache: Cache = "none"
    suffix: int | None = None
    stop: bool = True
    seed: int = 0
    speculate: int = 0

    def __post_init__(self) -> None:
        if self.speculate < 0:
            raise ValueError(f"speculate={self.speculate} is no number of guesses")


OWN = Sampling(tempered=False)
PRESETS = {
    "exact": Policy(TopK(), sampling=Sampling(order="entropy"), stop=False),
    "balanced": Policy(Threshold(0.95), OWN, block=32, cache="dual"),
    "fast": Policy(Threshold(0.9), OWN, block=64, cache="dual"),
}
CAREFUL = 8  # masks a block when a text is written again


def careful(policy: Policy) -> Policy | None:
    """`policy` with one token a step in short blocks: slower, and surer of how its tokens fit.

    For what was written too boldly. None where the steps are said: by a schedule, or by a budget.
    """
    if not isinstance(policy.commit, Threshold) or policy.budget is not None:
        return None
    return replace(policy, commit=TopK(linear), block=CAREFUL)
