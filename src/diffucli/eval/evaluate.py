"""Generates samples for problems and judges them; each result is yielded as soon as it is known.

Knows problems and a callable that solves them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.decode.loop import alone
from diffucli.edit import source
from diffucli.edit.holes import HOLE
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem, RepairProblem, Sample, judge
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort
from diffucli.tasks.fill import fill
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS, Request, generate
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.tasks.prompt import PYTHON
from diffucli.tasks.write import Decode, default_decode
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Generator

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Result
    from diffucli.tasks.verify import Verify

AUTO = "auto"  # the default length of a hole
Solver = Callable[[Problem, int], Sample]
Judge = Callable[[Problem, str], Judgement]


@dataclass(frozen=True, slots=True)
class Writer:
    """A checkpoint, the policy that it writes by, and the decoding: our loop, or a reference in its place.

    length: bounds on the tokens of a hole, as of `diffu fill --length`; None: the default. effort: candidates and
    repairs.
    """

    checkpoint: Checkpoint
    policy: Policy
    decode: Decode = default_decode
    length: tuple[int, int] | None = None
    effort: Effort = DEFAULT_EFFORT

    def answer(
        self, request: str, *, length: int | None = None, min_tokens: int = 0, verify: Verify = "error"
    ) -> Generator[Event, None, Result]:
        """The events of an answer to `request`, and its result. length: masks for it; None: the default."""
        wanted = Request(request, PYTHON, length or DEFAULT_ANSWER_TOKENS, min_tokens, verify)
        run = generate(self.checkpoint, wanted, self.policy, effort=self.effort, decode=self.decode)
        return alone(self.checkpoint.network, run)

    def run(self, problem: Problem, *, length: int | None = None) -> Run[Result]:
        """The run that answers `problem` as the commands do. length: masks for new code; None: the default."""
        match problem:
            case CodeProblem(request=request):
                wanted = Request(request, length=length or DEFAULT_ANSWER_TOKENS)
                return generate(self.checkpoint, wanted, self.policy, effort=self.effort, decode=self.decode)
            case FillProblem(before=before, after=after):
                return self._fill(f"{before}{HOLE}{after}", Wanted(language=PYTHON.name, length=self.length))
            case RepairProblem(broken=broken):
                return self._fill(broken, Wanted((":errors",), language=PYTHON.name))

    def _fill(self, text: str, wanted: Wanted) -> Run[Result]:
        (job,) = jobs_of([(source.from_bytes(text.encode()), None)], wanted)
        run = fill(self.checkpoint, job, self.policy, effort=self.effort, decode=self.decode)
        return (yield from run).result


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


def evaluate(
    problems: Sequence[Problem], solve: Solver, *, seeds: Sequence[int], workers: int = 2, judge: Judge = judge
) -> Iterator[JudgedSample]:
    """Yields one judged sample per problem and seed, in order.

    Up to `workers` samples are judged in sandboxes of their own while the next ones are generated.
    """
    solved = (
        UnjudgedSample(index, problem, seed, solve(problem, seed))
        for index, problem in enumerate(problems)
        for seed in seeds
    )
    return judged(solved, workers=workers, judge=judge)


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


def solver(writer: Writer) -> Solver:
    """A solver that uses `writer` with each sample's seed and, as the commands do, repairs what does not parse."""

    def solve(problem: Problem, seed: int) -> Sample:
        seeded = replace(writer, policy=replace(writer.policy, seed=seed))
        result = pull(alone(writer.checkpoint.network, seeded.run(problem)))
        sample = sample_of(result)
        return replace(sample, text=result.text) if isinstance(problem, RepairProblem) else sample

    return solve


def sample_of(result: Result) -> Sample:
    """A task's result as a sample: its code, or what it put into the hole."""
    tokens, refused = result.chosen.written.tokens, result.check.refused
    doubt = result.doubt
    return Sample(result.pieces[0], result.nfe, tokens, result.seconds, refused, doubt.doubtful, doubt.evidence)
