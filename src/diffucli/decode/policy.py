"""Policies: one value that says how a canvas is written, and the presets, which are policies with names.

A published decoding method is a policy, never a loop of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from diffucli.decode.commit import EntropyBound, Factor, PathPlanning, Rule, Threshold, TopK, linear
from diffucli.decode.sample import GREEDY, Sampling

if TYPE_CHECKING:
    from diffucli.decode.predict import Cache


Ends = Literal["free", "late", "never"]
LONGEST_HOLE = 64  # tokens of a hole that grows, as published for DreamOn


@dataclass(frozen=True, slots=True)
class Policy:
    """How a canvas is written.

    commit: which proposals become tokens. sampling: how tokens are drawn and ranked. steps: length of the schedule,
    shared out among the blocks by their masks; None: one step a mask. budget: steps after which the run ends in any
    case; None: more than any schedule takes. block: longest window written at a time; None: the whole canvas.
    by_line: a block ends early, where a line surely ends. cache: the keys and values reused within a window: "prefix"
    of what stands before it, "dual" of both sides, "none". stop: an end token closes its hole. seed: of every draw.
    speculate: guesses of the next canvases that are evaluated with each forward; what is written is the same. ends:
    whether end tokens may be written as any other ("free"), after all others ("late"), or those that pad not at all
    ("never"). max_length: tokens up to which a hole grows, of checkpoints whose holes grow. expand_budget: how often
    they may grow in a run; None: twice max_length.
    """

    commit: Rule
    sampling: Sampling = GREEDY
    steps: int | None = None
    budget: int | None = None
    block: int | None = None
    by_line: bool = False
    cache: Cache = "none"
    stop: bool = True
    seed: int = 0
    speculate: int = 0
    ends: Ends = "free"
    max_length: int = LONGEST_HOLE
    expand_budget: int | None = None

    def __post_init__(self) -> None:
        if self.speculate < 0:
            raise ValueError(f"speculate={self.speculate} is no number of guesses")


OWN_SCORES = Sampling(tempered=False)
PRESETS = {
    "exact": Policy(TopK(), sampling=Sampling(order="entropy"), stop=False),
    "balanced": Policy(Threshold(0.95), OWN_SCORES, block=32, cache="dual"),
    "fast": Policy(Threshold(0.9), OWN_SCORES, block=64, cache="dual"),
    "factor": Policy(Factor(1.0), OWN_SCORES, block=32, cache="dual"),
    "p2": Policy(PathPlanning()),
    "entropy-bound": Policy(EntropyBound(0.1), Sampling(order="entropy", tempered=False), block=32, cache="dual"),
}


def repair_policy(policy: Policy) -> Policy | None:
    """`policy` for the few masks of a repair, with the likeliest tokens. None where a budget of steps is given."""
    if policy.budget is not None:
        return None
    commit = TopK(linear) if policy.commit.scheduled or policy.commit.drawn else policy.commit
    sampling = replace(policy.sampling, temperature=0.0, top_p=1.0)
    return replace(policy, commit=commit, sampling=sampling, steps=None, speculate=0)
