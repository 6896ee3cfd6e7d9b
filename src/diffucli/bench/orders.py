"""What temperature does to a model: answers at several temperatures, with the order in which each was written.

One token a step, in the order of least entropy, as published for DiffuCoder (arXiv 2506.20639): temperature and top-p
change the entropies, and so the order. Records are plain values, so that a measurement can be broken off and go on.
"""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from diffucli.batch.worker import written
from diffucli.bench.writers import UNREPAIRED, Writer
from diffucli.decode.commit import ranked
from diffucli.decode.loop import Returned, alone, denoise, together
from diffucli.decode.policy import PRESETS
from diffucli.decode.predict import Answer
from diffucli.decode.sample import propose
from diffucli.eval import suites
from diffucli.eval.asking import WantedSample, row_of, sample_of
from diffucli.eval.judging import AUTO, UnjudgedSample, judged
from diffucli.eval.lengths import ORACLE
from diffucli.eval.problems import FillProblem, judge
from diffucli.mini.held_out import bodies
from diffucli.trace.order import order_of
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from diffucli.batch.rows import FillRow, GenRow
    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Constraints
    from diffucli.eval.judging import Judge
    from diffucli.eval.problems import Problem, Sample
    from diffucli.events import Finished, Happening
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Result

TOP_P = 0.95  # of the published sampling
NEW_CODE, BODY = "new code", "body of a function"  # groups of problems
SAMPLES = 10
MOST = 40  # requests that a plan may have


@dataclass(frozen=True, slots=True)
class OrderedSample:
    """A sample. problem: its number in the list of problems. passed: whether it is right. answer: CRC-32 of its text.

    order: the positions of its hole, from 0, in the order in which they were written. text: those of them that are
    text, and not the end or padding behind it. seconds: of computing, its share of those of its batch.
    """

    group: str
    problem: int
    temperature: float
    seed: int
    order: tuple[int, ...]
    text: tuple[int, ...]
    answer: int
    passed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class OrderProbe:
    """What the canvases of an answer at temperature 0 say of the order at others.

    others: by temperature, the share of its steps at which that temperature picks another position on the same canvas.
    entropies, confidences: at the first step, of each position of the hole: nats, and the probability of its token.
    """

    group: str
    problem: int
    others: dict[str, float]
    entropies: tuple[float, ...]
    confidences: tuple[float, ...]
    seconds: float


OrderRecord = OrderedSample | OrderProbe


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """What is measured. length: masks of new code; a hole has its true length. samples: of each problem.

    At temperature 0 all samples are the same, so one is enough.
    """

    problems: Sequence[Problem]
    temperatures: Sequence[float] = (0.0, 0.2, 0.6, 1.0, 1.2)
    samples: int = SAMPLES
    length: int = 64

    def seeds(self, temperature: float) -> range:
        """The seeds of the samples at a temperature."""
        return range(self.samples if temperature else 1)


def plan_of(count: int, *, samples: int = SAMPLES) -> OrderPlan:
    """A plan of `count` requests for new code and three times as many bodies of functions, in turn.

    Those of a smaller plan are the first of a larger one, so that its records serve the latter.
    """
    code = [replace(each, group=NEW_CODE) for each in suites.requests(suites.Suite.mini, MOST)]
    holes = [FillProblem(BODY, each.before, each.text, each.after, each.tests) for each in bodies(3 * MOST)]
    turns: list[tuple[Problem, ...]] = [
        (request, *holes[3 * number : 3 * number + 3]) for number, request in enumerate(code)
    ]
    return OrderPlan(list(chain.from_iterable(turns[:count])), samples=samples)


def policy_at(temperature: float, seed: int = 0) -> Policy:
    """The published decoding at a temperature: one token a step, and all masks are written."""
    exact = PRESETS["exact"]
    return replace(exact, seed=seed, sampling=replace(exact.sampling, temperature=temperature, top_p=TOP_P))


def measured(
    checkpoint: Checkpoint, plan: OrderPlan, known: Sequence[OrderRecord] = (), *, judge: Judge = judge
) -> Iterator[OrderRecord]:
    """The records of `plan` that are not `known` yet, problem by problem."""
    probed = {each.problem for each in known if isinstance(each, OrderProbe)}
    sampled = {(each.problem, each.temperature, each.seed) for each in known if isinstance(each, OrderedSample)}
    judge = cache(judge)
    for number, problem in enumerate(plan.problems):
        if number not in probed:
            yield _probe(checkpoint, plan, number)
        for temperature in plan.temperatures:
            seeds = [seed for seed in plan.seeds(temperature) if (number, temperature, seed) not in sampled]
            if seeds:
                written = _written(checkpoint, plan, problem, temperature, seeds)
                yield from _samples(written, problem, number, temperature, judge)


def load_records(path: Path) -> list[OrderRecord]:
    """The records in a file of JSON lines, which may be missing. A last line that was cut off is deleted from it."""
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        path.write_bytes(whole)
    return [_record(json.loads(line)) for line in whole.splitlines()]


def _record(values: dict[str, Any]) -> OrderRecord:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return OrderProbe(**values) if "others" in values else OrderedSample(**values)


def to_line(record: OrderRecord) -> bytes:
    """A record as a line of JSON."""
    return json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    seed: int
    events: list[Happening]
    sample: Sample
    seconds: float


def _row(checkpoint: Checkpoint, plan: OrderPlan, problem: Problem) -> GenRow | FillRow:
    length = ORACLE if isinstance(problem, FillProblem) else AUTO
    return row_of(WantedSample(0, problem, 0, length), checkpoint.tokenizer, answer=plan.length)


def _written(
    checkpoint: Checkpoint, plan: OrderPlan, problem: Problem, temperature: float, seeds: Sequence[int]
) -> list[_Written]:
    """An answer with each of the seeds, all at once."""
    begun = time.process_time()
    writers = [Writer(checkpoint, policy_at(temperature, seed), effort=UNREPAIRED) for seed in seeds]
    row = _row(checkpoint, plan, problem)
    events: list[list[Happening]] = [[] for _ in seeds]
    results: dict[int, Result] = {}
    for number, item in together(checkpoint.network, [each.run(row) for each in writers]):
        if isinstance(item, Returned):
            results[number] = item.result
        else:
            events[number].append(item)  # type: ignore[arg-type]  # one candidate, so that none is beside it
    seconds = (time.process_time() - begun) / len(seeds)
    samples = [sample_of(problem, written(results[i])) for i in range(len(seeds))]
    return [_Written(seed, events[i], samples[i], seconds) for i, seed in enumerate(seeds)]


def _samples(
    found: Sequence[_Written], problem: Problem, number: int, temperature: float, judge: Judge
) -> Iterator[OrderedSample]:
    by_seed = {each.seed: each for each in found}
    samples = (UnjudgedSample(number, problem, each.seed, each.sample) for each in found)
    for result in judged(samples, judge=judge):
        each = by_seed[result.seed]
        order = order_of(each.events)
        first = min(order.written())
        places, text = ([at - first for at in order.written(with_ends=ends)] for ends in (True, False))
        yield OrderedSample(
            problem.group,
            number,
            temperature,
            each.seed,
            tuple(places),
            tuple(_up_to_end(places, text)),
            zlib.crc32(each.sample.text.encode()),
            result.judgement.passed,
            round(each.seconds, 3),
        )


def _up_to_end(places: Sequence[int], text: Sequence[int]) -> list[int]:
    """`text` without what stands behind the first end."""
    end = min(set(places) - set(text), default=len(places))
    return [at for at in text if at < end]


def _probe(checkpoint: Checkpoint, plan: OrderPlan, number: int) -> OrderProbe:
    problem, begun = plan.problems[number], time.process_time()
    seen = _Seen(plan.temperatures)
    writer = Writer(checkpoint, policy_at(0.0), seen.decode, UNREPAIRED)
    pull(alone(checkpoint.network, writer.run(_row(checkpoint, plan, problem))))
    return seen.probe(problem.group, number, time.process_time() - begun)


class _Seen:
    """What each answer of the network in a run says of the position that is written next, at several temperatures."""

    def __init__(self, temperatures: Sequence[float]) -> None:
        self._temperatures = temperatures
        self._picks: list[list[int]] = []
        self._first: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def decode(self, canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
        """The decoding loop, whose answers are looked at on their way."""
        run, answer = denoise(canvas, policy, constraints), None
        try:
            while True:
                item = run.send(answer)
                answer = yield item
                if isinstance(item, tuple):
                    assert isinstance(answer, Answer), "a driver answers queries"
                    positions = item[0].positions
                    self._look(constraints.apply(answer.logits[0].clone(), positions, canvas.holes))
        except StopIteration as stop:
            finished: Finished = stop.value
            return finished

    def _look(self, logits: torch.Tensor) -> None:
        self._picks.append([_pick(logits, temperature) for temperature in (0.0, *self._temperatures)])
        if len(self._picks) == 1:
            first = propose(logits, replace(policy_at(0.0).sampling, top_p=1.0), torch.Generator())
            self._first = tuple((-first.scores).tolist()), tuple(first.logprobs.exp().tolist())

    def probe(self, group: str, number: int, seconds: float) -> OrderProbe:
        """What was seen."""
        others = {
            f"{temperature:g}": sum(picks[index] != picks[0] for picks in self._picks) / len(self._picks)
            for index, temperature in enumerate(self._temperatures, 1)
        }
        entropies, confidences = (tuple(round(each, 4) for each in values) for values in self._first)
        return OrderProbe(group, number, others, entropies, confidences, round(seconds, 3))


def _pick(logits: torch.Tensor, temperature: float) -> int:
    """The row that is written next at a temperature."""
    return int(ranked(propose(logits, policy_at(temperature).sampling, torch.Generator()).scores)[0])
