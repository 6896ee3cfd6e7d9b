"""pass@k and what it cost: results become one report a group.

Knows nothing of how results are come by.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import comb, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from diffucli.eval.evaluate import Result

KS = (1, 10)


def pass_at(k: int, *, samples: int, passed: int) -> float:
    """The chance that one of `k` samples passes, unbiased, from `samples` of which `passed` did.

    1 - C(n - c, k) / C(n, k): Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.
    """
    assert 1 <= k <= samples
    assert 0 <= passed <= samples
    return 1 - comb(samples - passed, k) / comb(samples, k)


@dataclass(frozen=True, slots=True)
class Report:
    """A group in figures.

    samples: of each problem. passes: k → pass@k, for those of 1 and 10 that there are samples for; error: the standard
    error of pass@1 over the problems. parses: share of samples. nfe, tokens, seconds: means over samples of the
    forwards spent, the tokens of text and the wall time of decoding.
    """

    group: str
    problems: int
    samples: int
    passes: Mapping[int, float]
    error: float
    parses: float
    nfe: float
    tokens: float
    seconds: float

    @property
    def tpf(self) -> float:
        """Tokens of text per forward."""
        return self.tokens / self.nfe

    @property
    def rate(self) -> float:
        """Tokens of text per second of decoding."""
        return self.tokens / self.seconds if self.seconds else 0.0


def reports(results: Iterable[Result]) -> list[Report]:
    """One report a group, in the order in which the groups first come."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.problem.group, []).append(result)
    return [_report(group, found) for group, found in groups.items()]


def _report(group: str, results: Sequence[Result]) -> Report:
    ordered = sorted(results, key=lambda result: result.index)
    passed = [[r.verdict.passed for r in each] for _, each in groupby(ordered, key=lambda result: result.index)]
    samples = min(map(len, passed))
    rates = {k: [pass_at(k, samples=len(each), passed=sum(each)) for each in passed] for k in KS if k <= samples}
    return Report(
        group=group,
        problems=len(passed),
        samples=samples,
        passes={k: fmean(each) for k, each in rates.items()},
        error=stdev(rates[1]) / sqrt(len(passed)) if len(passed) > 1 else 0.0,
        parses=fmean(r.verdict.parses for r in results),
        nfe=fmean(r.sample.nfe for r in results),
        tokens=fmean(r.sample.tokens for r in results),
        seconds=fmean(r.sample.seconds for r in results),
    )
