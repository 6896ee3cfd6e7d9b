"""Problems are solved one after the other and judged beside that; results come as soon as they are known.

Knows problems and a way to solve them, which may be any callable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from diffucli.decode.policy import careful
from diffucli.eval.problems import AnyProblem, FillProblem, Problem, Sample, Verdict, judge
from diffucli.events import Finished
from diffucli.syntax import languages
from diffucli.syntax.check import check, is_substantial, new_diagnostics
from diffucli.tasks.engine import Engine, Gap, Run

if TYPE_CHECKING:
    from diffucli.bench.writers import Writer
    from diffucli.events import Event

PYTHON = languages.by_name("python")
Solve = Callable[[AnyProblem, int], Sample]
Again = Callable[[Engine], Sample]
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
    """Solves problems with `engine`, each sample by its own seed; a hole is of free length.

    As the commands do, what does not parse is written once more with care; both runs count.
    """

    def solve(problem: AnyProblem, seed: int) -> Sample:
        seeded = replace(engine, policy=replace(engine.policy, seed=seed))
        match problem:
            case Problem():
                return answer(seeded, problem.request)
            case FillProblem():
                write = partial(_filled, problem=problem)
                return _with_care(write(seeded), seeded, write, _parses_around(problem))

    return solve


def answer(writer: Writer, request: str, *, length: int | None = None) -> Sample:
    """What `writer` answers to `request` in `length` masks, and what it cost."""
    write = partial(_answered, request=request, length=length)
    return _with_care(write(writer), writer, write, _is_code)


def _with_care(first: Sample, writer: Writer, write: Again, parses: Callable[[str], bool]) -> Sample:
    """`first`, or what `write` makes where that does not parse and `writer` can take more care."""
    policy = careful(writer.policy) if isinstance(writer, Engine) else None
    if policy is None or parses(first.text):
        return first
    again = write(Engine(writer.checkpoint, policy))
    return replace(again, nfe=first.nfe + again.nfe, seconds=first.seconds + again.seconds)


def _is_code(text: str) -> bool:
    return check(text, PYTHON).ok and is_substantial(text, PYTHON)


def _parses_around(problem: FillProblem) -> Callable[[str], bool]:
    before = problem.before + problem.expected + problem.after
    return lambda text: not new_diagnostics(before, problem.before + text + problem.after, PYTHON).diagnostics


def _answered(writer: Writer, *, request: str, length: int | None) -> Sample:
    run = writer.generate(request, length=length)
    final = _last(run.events)
    text, _ = writer.answer_of(run, final)
    return _sample(writer, run, final, text)


def _filled(engine: Engine, *, problem: FillProblem) -> Sample:
    parts = [problem.before, problem.after]
    run = engine.fill(parts, [Gap()])
    final = _last(run.events)
    (text,) = engine.pieces_of(run, final, parts)
    return _sample(engine, run, final, text)


def _sample(writer: Writer, run: Run, final: Finished, text: str) -> Sample:
    return Sample(text, final.nfe, text_tokens(run, final, mask=writer.checkpoint.tokenizer.mask), final.seconds)


def _last(events: Iterator[Event]) -> Finished:
    *_, final = events
    assert isinstance(final, Finished), "a run ends with Finished"
    return final


def text_tokens(run: Run, final: Finished, *, mask: int) -> int:
    """How many masks became text: all up to the first end of each hole."""
    holes = run.layout.holes
    texts = (takewhile(lambda token: token not in run.ends, final.tokens[hole.start : hole.stop]) for hole in holes)
    return sum(token != mask for text in texts for token in text)
