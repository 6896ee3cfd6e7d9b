"""Problems are solved one after the other and judged beside that; results come as soon as they are known.

Knows problems and a way to solve them, which may be any callable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from diffucli.engine import Engine, Gap, Run
from diffucli.eval.problems import AnyProblem, FillProblem, Problem, Sample, Verdict, judge
from diffucli.events import Finished

if TYPE_CHECKING:
    from diffucli.events import Event

Solve = Callable[[AnyProblem, int], Sample]
Judge = Callable[[AnyProblem, str], Verdict]


@dataclass(frozen=True, slots=True)
class Result:
    """A sample of problem number `index`, drawn with `seed`, and the verdict on it."""

    index: int
    problem: AnyProblem
    seed: int
    sample: Sample
    verdict: Verdict


def evaluate(
    problems: Sequence[AnyProblem], solve: Solve, *, seeds: Sequence[int], workers: int = 2, judge: Judge = judge
) -> Iterator[Result]:
    """A sample of every problem for every seed, in order, each as soon as it is judged.

    Solving goes on while up to `workers` earlier samples are judged, each in a sandbox of its own.
    """
    waiting: deque[tuple[int, int, Sample, Future[Verdict]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for index, problem in enumerate(problems):
            for seed in seeds:
                sample = solve(problem, seed)
                waiting.append((index, seed, sample, pool.submit(judge, problem, sample.text)))
                while len(waiting) > workers or (waiting and waiting[0][3].done()):
                    yield _result(problems, *waiting.popleft())
        while waiting:
            yield _result(problems, *waiting.popleft())


def _result(problems: Sequence[AnyProblem], index: int, seed: int, sample: Sample, verdict: Future[Verdict]) -> Result:
    return Result(index, problems[index], seed, sample, verdict.result())


def solver(engine: Engine) -> Solve:
    """Solves problems with `engine`, each sample by its own seed; a hole is of free length."""

    def solve(problem: AnyProblem, seed: int) -> Sample:
        seeded = replace(engine, policy=replace(engine.policy, seed=seed))
        match problem:
            case Problem():
                run = seeded.generate(problem.request)
                final = _last(run.events)
                text, _ = seeded.answer_of(run, final)
            case FillProblem():
                parts = [problem.before, problem.after]
                run = seeded.fill(parts, [Gap()])
                final = _last(run.events)
                (text,) = seeded.pieces_of(run, final, parts)
        return Sample(text, final.nfe, _tokens(run, final, engine), final.seconds)

    return solve


def _last(events: Iterator[Event]) -> Finished:
    *_, final = events
    assert isinstance(final, Finished), "a run ends with Finished"
    return final


def _tokens(run: Run, final: Finished, engine: Engine) -> int:
    """How many masks became text: all up to the first end of each hole."""
    mask, holes = engine.checkpoint.vocabulary.mask, run.layout.holes
    texts = (takewhile(lambda token: token not in run.ends, final.tokens[hole.start : hole.stop]) for hole in holes)
    return sum(token != mask for text in texts for token in text)
