"""Generates samples for problems and judges them; each result is yielded as soon as it is known.

Knows problems and a callable that solves them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from diffucli.decode.policy import careful
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, Sample, judge
from diffucli.events import Finished
from diffucli.syntax import languages
from diffucli.syntax.check import check, is_substantial, new_diagnostics
from diffucli.tasks.engine import Engine, Gap, Run

if TYPE_CHECKING:
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint

PYTHON = languages.by_name("python")
Solver = Callable[[Problem, int], Sample]
Judge = Callable[[Problem, str], Judgement]


class Writer(Protocol):
    """Anything that answers requests: an `Engine`, or a reference implementation in its place."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that writes."""
        ...

    def generate(self, query: str, *, tag: str = "python", length: int | None = None, least: int = 0) -> Run:
        """A run that answers `query`."""
        ...

    def answer_of(self, run: Run, final: Finished) -> tuple[str, bool]:
        """The code that a finished run wrote, and whether it ended before the canvas did."""
        ...


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample of problem number `index`, generated with `seed`, and its judgement."""

    index: int
    problem: Problem
    seed: int
    sample: Sample
    judgement: Judgement


def evaluate(
    problems: Sequence[Problem], solve: Solver, *, seeds: Sequence[int], workers: int = 2, judge: Judge = judge
) -> Iterator[JudgedSample]:
    """Yields one judged sample per problem and seed, in order.

    Up to `workers` samples are judged in sandboxes of their own while the next ones are generated.
    """
    waiting: deque[tuple[int, int, Sample, Future[Judgement]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for index, problem in enumerate(problems):
            for seed in seeds:
                sample = solve(problem, seed)
                waiting.append((index, seed, sample, pool.submit(judge, problem, sample.text)))
                while len(waiting) > workers or (waiting and waiting[0][3].done()):
                    yield _result(problems, *waiting.popleft())
        while waiting:
            yield _result(problems, *waiting.popleft())


def _result(
    problems: Sequence[Problem], index: int, seed: int, sample: Sample, judgement: Future[Judgement]
) -> JudgedSample:
    return JudgedSample(index, problems[index], seed, sample, judgement.result())


def solver(engine: Engine) -> Solver:
    """A solver that uses `engine` with each sample's seed; a hole gets the default number of masks.

    An answer that does not parse is generated a second time with the retry policy, as the commands do it. The costs of
    both runs count.
    """

    def solve(problem: Problem, seed: int) -> Sample:
        seeded = replace(engine, policy=replace(engine.policy, seed=seed))
        match problem:
            case CodeProblem():
                return answer(seeded, problem.request)
            case FillProblem():
                write = partial(_fill, problem=problem)
                return _with_retry(write(seeded), seeded, write, _parses_in(problem))

    return solve


def answer(writer: Writer, request: str, *, length: int | None = None) -> Sample:
    """The answer of `writer` to `request` in a canvas of `length` masks (None: the default)."""
    write = partial(_generate, request=request, length=length)
    return _with_retry(write(writer), writer, write, _is_code)


def _with_retry(
    first: Sample, writer: Writer, write: Callable[[Engine], Sample], parses: Callable[[str], bool]
) -> Sample:
    """`first`; or, if it does not parse and there is a retry policy, a second sample with the costs of both."""
    policy = careful(writer.policy) if isinstance(writer, Engine) else None
    if policy is None or parses(first.text):
        return first
    again = write(Engine(writer.checkpoint, policy))
    return replace(again, nfe=first.nfe + again.nfe, seconds=first.seconds + again.seconds)


def _is_code(text: str) -> bool:
    return check(text, PYTHON).ok and is_substantial(text, PYTHON)


def _parses_in(problem: FillProblem) -> Callable[[str], bool]:
    before = problem.before + problem.expected + problem.after
    return lambda text: not new_diagnostics(before, problem.before + text + problem.after, PYTHON).diagnostics


def _generate(writer: Writer, *, request: str, length: int | None) -> Sample:
    run = writer.generate(request, length=length)
    final = _last(run.events)
    text, _ = writer.answer_of(run, final)
    return _sample(writer, run, final, text)


def _fill(engine: Engine, *, problem: FillProblem) -> Sample:
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
    """The number of tokens of text: those before the first end token of each hole, without masks."""
    holes = run.layout.holes
    texts = (takewhile(lambda token: token not in run.ends, final.tokens[hole.start : hole.stop]) for hole in holes)
    return sum(token != mask for text in texts for token in text)
