"""The one decoding loop. A run asks queries, a driver answers those of many runs together.

Pulled by its consumer; closing a generator stops its run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

from diffucli.decode.canvas import Span
from diffucli.decode.commit import Progress
from diffucli.decode.predict import Answer, BatchNetwork, Predictor, Query
from diffucli.decode.resize import Resizer
from diffucli.decode.sample import ban, propose
from diffucli.errors import as_out_of_memory
from diffucli.events import Event, Finished, Reason, Started, Stepped

if TYPE_CHECKING:
    from torch import Tensor

    from diffucli.decode.canvas import Canvas
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Constraints

T = TypeVar("T")
Queries = tuple[Query, ...]
Lane = tuple[int, ...]
Lanes = dict[Lane, Queries]  # what the runs ask that one run consists of
Answers = dict[Lane, Answer]
# A run yields events, which go to the consumer, and queries, for which it is sent an answer. It returns its result.
Run = Generator[Event | Queries | Lanes, Answer | Answers | None, T]


def denoise(canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
    """Writes the open masks of `canvas` by `policy`: Started; for each step Stepped and what it resized; Finished."""
    clock, nfe, step, limit = _clock(), 0.0, 0, _step_limit(canvas, policy, constraints)
    resizer = Resizer(canvas, constraints.resizing)
    sampling_rng = order_rng = torch.Generator().manual_seed(policy.seed)
    yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
    for window, progress in schedule(canvas, policy):
        if step >= limit:
            break
        positions = canvas.open_masks(window) if policy.commit.asks == "masks" else canvas.writable(window)
        answer = yield (Query(canvas.tokens.clone(), window, positions, policy.cache, progress),)
        assert isinstance(answer, Answer), "a driver answers queries"
        if sampling_rng.device != answer.logits[0].device:
            sampling_rng = torch.Generator(answer.logits[0].device).manual_seed(policy.seed)
        logits = constraints.apply(answer.logits[0], positions, canvas.holes)
        for hole, ids in resizer.barred():
            ban(logits, positions, hole, ids)
        proposal = constraints.defer(propose(logits, policy.sampling, sampling_rng).cpu())
        decision = policy.commit(proposal.scores, canvas.is_open(positions), progress, order_rng)
        chosen = resizer.within_room(decision.commit.sort().values, positions, proposal.tokens)
        of = positions, proposal.tokens, proposal.scores, proposal.logprobs
        where, tokens, scores, logprobs = (tuple(each[chosen].tolist()) for each in of)
        remasked = tuple(positions[decision.remask.sort().values].tolist())
        canvas.remask(remasked)
        canvas.commit(where, tokens)
        step, nfe, span = step + 1, nfe + answer.nfe, (window.start, window.stop)
        yield Stepped(step, where, tokens, scores, span, canvas.masks_left, nfe, clock(), remasked, logprobs)
        yield from resizer.resize(where, tokens)
    reason: Reason = "budget" if canvas.masks_left else "end" if canvas.closed else "complete"
    yield (finished := Finished(tuple(canvas.tokens.tolist()), reason, nfe, clock(), canvas.spans))
    return finished


def ask(tokens: Sequence[int] | Tensor, positions: Sequence[int], mask: int) -> Run[tuple[Tensor, float]]:
    """The log-probabilities `[n, V]` (nats) at `positions` of a canvas that has masks there, and the forwards it cost.

    Nothing is written. positions: in order, at least one.
    """
    canvas, where = torch.as_tensor(tokens).clone(), torch.tensor(positions)
    canvas[where] = mask
    answer = yield (Query(canvas, Span(positions[0], positions[-1] + 1), where, "none", Progress(0, 1)),)
    assert isinstance(answer, Answer), "a driver answers queries"
    logits = answer.logits[0]
    logits[:, mask] = -torch.inf
    return logits.log_softmax(-1), answer.nfe


def schedule(canvas: Canvas, policy: Policy) -> Iterator[tuple[Span, Progress]]:
    """A window and a place in its schedule for every step, as long as masks are open.

    The first block with open masks is written, so a mask that opens again behind it is visited again. Each visit of a
    block gets its share of the schedule: by the masks that it has then, or if the canvas is aligned, as each block.
    """
    share = 0
    if policy.steps is not None and canvas.align > 1:
        share = max(policy.steps // max(sum(1 for _ in canvas.blocks(policy.block)), 1), 1)
    total, seen = max(canvas.masks_left, 1), 0
    start, index, steps = -1, 0, 0
    while (window := canvas.window(policy.block)) is not None:
        if window.start != start:
            before, seen = seen, seen + len(canvas.open_masks(window))
            length = total if policy.steps is None else policy.steps
            start, index = window.start, 0
            steps = share or max(length * seen // total - length * before // total, 1)
        yield window, Progress(index, steps)
        index += 1


def _step_limit(canvas: Canvas, policy: Policy, constraints: Constraints) -> int:
    """The steps after which a run ends in any case: its budget, or more than any schedule that gets on takes."""
    if policy.budget is not None:
        return policy.budget
    grown = constraints.resizing.budget + constraints.resizing.longest if constraints.resizing else 0
    return 4 * (canvas.masks_left + grown) + (policy.steps or 0)


def _clock() -> Callable[[], float]:
    """Gives the seconds since now."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Returned(Generic[T]):
    """The result of a run that has ended."""

    result: T


class Driver(Generic[T]):
    """Runs that go on together: a step asks the network once for all of them, as far as their queries are alike.

    Runs join by `add` and leave by `remove` between any two steps; nobody else's text depends on it.
    """

    def __init__(self, network: BatchNetwork) -> None:
        self._predictor = Predictor(network)
        self._runs: dict[int, Run[T]] = {}
        self._answers: dict[int, Answer | Answers | None] = {}
        self._queries: dict[int, Queries | Lanes] = {}  # what runs wait for; it outlasts a step that was broken off
        self._added = 0

    @property
    def forwards(self) -> int:
        """Forwards of the network so far, each counted once."""
        return self._predictor.forwards

    @property
    def running(self) -> tuple[int, ...]:
        """The numbers of the runs that have not ended."""
        return tuple(self._runs)

    def add(self, run: Run[T]) -> int:
        """Lets `run` take part from the next step on; its number."""
        number, self._added = self._added, self._added + 1
        self._runs[number], self._answers[number] = run, None
        return number

    def remove(self, number: int) -> None:
        """Stops a run, if it has not ended."""
        if run := self._runs.pop(number, None):
            run.close()
            self._answers.pop(number)
            self._queries.pop(number, None)
            self._predictor.release((number,))

    def step(self) -> Iterator[tuple[int, Event | Returned[T]]]:
        """One step of every run: its events, or its result. Then all queries are answered. Raises NoRoom."""
        for number in self.running:
            while number in self._runs and number not in self._queries:
                item = self._advance(number)
                if isinstance(item, tuple | dict):
                    self._queries[number] = item
                else:
                    yield number, item
        asked = [((number, *lane), each) for number in sorted(self._queries) for lane, each in self._lanes(number)]
        with as_out_of_memory("this canvas"):
            answers = self._predictor.answer(asked) if asked else []
        of_lane = {lane: answer for (lane, _), answer in zip(asked, answers, strict=True)}
        for number, queries in self._queries.items():
            if isinstance(queries, dict):
                self._answers[number] = {lane: of_lane[number, *lane] for lane in queries}
            else:
                self._answers[number] = of_lane[(number,)]
        self._queries.clear()

    def _lanes(self, number: int) -> Iterable[tuple[Lane, Queries]]:
        """What a run asks, by lanes; a run without lanes is its own."""
        queries = self._queries[number]
        return queries.items() if isinstance(queries, dict) else (((), queries),)

    def _advance(self, number: int) -> Event | Queries | Lanes | Returned[T]:
        """What a run yields next."""
        answer, self._answers[number] = self._answers[number], None
        try:
            with as_out_of_memory("this canvas"):
                return self._runs[number].send(answer)
        except StopIteration as stop:
            self.remove(number)
            return Returned(stop.value)


def together(network: BatchNetwork, runs: Iterable[Run[T]]) -> Generator[tuple[int, Event | Returned[T]], None, None]:
    """All of `runs` at once: (index, event) as they happen, and (index, Returned) at the end of each."""
    driver: Driver[T] = Driver(network)
    numbers = [driver.add(run) for run in runs]
    try:
        while driver.running:
            yield from driver.step()
    finally:
        for number in numbers:
            driver.remove(number)


def alone(network: BatchNetwork, run: Run[T]) -> Generator[Event, None, T]:
    """One run: its events, and its result as the generator's return value."""
    events = together(network, [run])
    try:
        for _, event in events:
            if isinstance(event, Returned):
                return event.result
            yield event
    finally:
        events.close()
    raise AssertionError("a run ends")
