"""Judges samples of problems; each result is passed on as soon as it is known.

Knows samples and a callable that judges them, not how they are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from diffucli.eval.problems import Judgement, Problem, Sample, judge

AUTO = "auto"  # the default length of a hole
Judge = Callable[[Problem, str], Judgement]


@dataclass(frozen=True, slots=True)
class UnjudgedSample:
    """As `JudgedSample`, before it is judged. fault: why there is no answer, so that none is judged."""

    index: int
    problem: Problem
    seed: int
    sample: Sample
    length: str = AUTO
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample of problem number `index`, generated with `seed`, and its judgement.

    length: of `lengths.LENGTHS`, how many tokens a hole got.
    """

    index: int
    problem: Problem
    seed: int
    sample: Sample
    judgement: Judgement
    length: str = AUTO


def judged(samples: Iterable[UnjudgedSample], *, workers: int = 2, judge: Judge = judge) -> Iterator[JudgedSample]:
    """Judges samples, in their order.

    Up to `workers` samples are judged in sandboxes of their own while the next ones come.
    """
    waiting: deque[tuple[UnjudgedSample, Future[Judgement]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for each in samples:
            waiting.append((each, pool.submit(_judgement, each, judge)))
            while len(waiting) > workers or (waiting and waiting[0][1].done()):
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _judgement(each: UnjudgedSample, judge: Judge) -> Judgement:
    if each.fault:
        return Judgement(passed=False, parses=False, reason=each.fault)
    return judge(each.problem, each.sample.text)


def _result(each: UnjudgedSample, judgement: Future[Judgement]) -> JudgedSample:
    return JudgedSample(each.index, each.problem, each.seed, each.sample, judgement.result(), each.length)
