"""Prediction: the queries of many runs become logits, with as few forwards as they allow.

The shift of the network and the KV cache are handled here and nowhere else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor

from diffucli.decode.canvas import Span
from diffucli.errors import as_out_of_memory, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.decode.commit import Progress

Cache = Literal["none", "prefix", "dual"]
Asker = tuple[int, ...]  # a run, or one of the lanes that it consists of
Shares = defaultdict[Asker, float]  # run → forwards


class BatchNetwork(Protocol):
    """What prediction needs of a network; see `diffucli.model.network.Network`."""

    @property
    def shift(self) -> int:
        """How far left of a position the output stands that predicts it."""
        ...

    @property
    def block(self) -> int | None:
        """The block length of block-causal attention; None if every position sees all."""
        ...

    def new_cache(self, slots: int, longest: int, *, old: Any = None) -> Any:
        """A cache for `slots` canvases of at most `longest` tokens, with what `old` holds; opaque here."""
        ...

    def copy_slot(self, cache: Any, source: int, target: int) -> None:
        """Gives the slot `target` of `cache` what the slot `source` holds."""
        ...

    def __call__(
        self,
        tokens: Tensor,
        rows: Sequence[Tensor],
        *,
        starts: Sequence[int] = (),
        cache: tuple[Any, Sequence[int]] | None = None,
        lengths: Sequence[int] = (),
    ) -> Tensor:
        """Float32 logits `[R, V]` of the outputs `rows` of each of `tokens` `[B, n]`, one after the other."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question to the network: what stands at `positions` `[n]` of the canvas `tokens` `[L]`, all in `window`?

    Tensors are on the CPU. cache: the keys and values that may be reused as long as the window stays the same: "dual"
    of all that stands outside the window, "prefix" of what stands before it, "none". progress: where the run is in its
    schedule.
    """

    tokens: Tensor
    window: Span
    positions: Tensor
    cache: Cache
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Logits `[n, V]` of the first queries, in order; the last guesses may be left out. nfe: share of the forwards."""

    logits: tuple[Tensor, ...]
    nfe: float


@dataclass(frozen=True, slots=True, eq=False)
class _Cached:
    """What the cache holds for a run: the canvas `tokens` as they were when keys and values were computed.

    All of them, or if attention is block-causal those up to the end of the window.
    """

    window: Span
    tokens: Tensor

    def serves(self, query: Query, part: Span) -> bool:
        """Whether `query` differs from it in `part` at most, so that only that part has to be computed."""
        if query.window != self.window or query.cache == "none" or len(query.tokens) != len(self.tokens):
            return False
        return all(torch.equal(query.tokens[a], self.tokens[a]) for a in (slice(part.start), slice(part.stop, None)))


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A query of a run and the part of its canvas that is computed for it. slot: of its keys and values, if any."""

    run: Asker
    query: Query
    part: Span
    slot: int | None
    is_guess: bool

    @property
    def is_whole(self) -> bool:
        """Whether the part is the whole canvas."""
        return len(self.part) == len(self.query.tokens)

    @property
    def content(self) -> object:
        """Equal for jobs with equal answers: whole canvases of equal tokens, which are asked at equal positions."""
        if not self.is_whole:
            return self
        return self.query.tokens.numpy().tobytes(), self.query.positions.numpy().tobytes()

    @property
    def shape(self) -> tuple[int, bool, bool]:
        """Jobs of one shape may share a forward."""
        return len(self.part), self.slot is not None, self.is_whole


class Predictor:
    """Answers the queries of runs, which are tuples of numbers here: (3,) is a run, (3, 1) a lane of it.

    A run has a slot of the KV cache from its first query that may reuse keys and values until `release`. A window costs
    a full forward when it is new, and when anything outside of it has changed; after that only the window is computed,
    with the position left of it, as the shift asks (Fast-dLLM's caches, arXiv 2505.22618).

    Where attention is block-causal, nothing behind a window is computed at all, and keys and values are exact: they are
    computed from the first block on that has changed, so a finished block is stored by the forward that opens the next.

    What memory does not suffice for is done in smaller batches: first guesses are left out, then runs are split up,
    then the positions of a run.
    """

    def __init__(self, network: BatchNetwork) -> None:
        self._network, self.forwards = network, 0
        self._cache: Any = None
        self._capacity, self._longest = 0, 0
        self._slots: dict[Asker, int] = {}
        self._cached: dict[Asker, _Cached] = {}
        self._guesses, self._most_jobs, self._halved = True, 1 << 30, False

    def release(self, run: Asker) -> None:
        """Gives the slots of a run and its lanes back."""
        for each in [other for other in self._slots if other[: len(run)] == run]:
            self._cached.pop(each, None)
            self._slots.pop(each)

    def answer(self, asked: Sequence[tuple[Asker, Sequence[Query]]]) -> list[Answer]:
        """An answer for each run and its queries. What follows a run's first query are guesses.

        A guess is expected to differ from the first query inside its window alone. NoRoom: out of memory.
        """
        self._reserve(asked)
        jobs = [self._jobs(run, queries) for run, queries in asked]
        logits: dict[_Job, Tensor] = {}
        shares: Shares = defaultdict(float)
        for group in self._groups(job for each in jobs for job in each if self._guesses or not job.is_guess):
            logits |= self._evaluate(group, shares)
        return [
            Answer(tuple(logits[job] for job in takewhile(logits.__contains__, each)), shares[run])
            for (run, _), each in zip(asked, jobs, strict=True)
        ]

    def _reserve(self, asked: Sequence[tuple[Asker, Sequence[Query]]]) -> None:
        """Gives every run that may reuse keys and values a slot, and makes the cache large enough for all."""
        caching = [(run, len(queries[0].tokens)) for run, queries in asked if queries[0].cache != "none"]
        for run, _ in caching:
            if run not in self._slots:
                self._slots[run] = next(i for i in range(len(self._slots) + 1) if i not in self._slots.values())
        slots = max(self._slots.values(), default=-1) + 1
        longest = max((length for _, length in caching), default=0)
        if slots > self._capacity or longest > self._longest:
            slots, longest = max(slots, self._capacity), max(longest, self._longest)
            old = self._cache if self._cached else None
            self._cache, self._capacity, self._longest = None, 0, 0  # also if there is no memory for another one
            self._cache = self._network.new_cache(slots, longest, old=old)
            self._capacity, self._longest = slots, longest

    def _jobs(self, run: Asker, queries: Sequence[Query]) -> list[_Job]:
        """The jobs of a run's query and its guesses.

        A guess that needs another part of a prefix than the query does without the slot, which it would spoil.
        """
        first, *guesses = (self._job(run, query, is_guess=i > 0) for i, query in enumerate(queries))
        if self._network.block is None:
            return [first, *guesses]
        alone = (replace(each, part=Span(0, each.part.stop), slot=None) for each in guesses)
        return [first, *(a if b.part != first.part else b for a, b in zip(alone, guesses, strict=True))]

    def _job(self, run: Asker, query: Query, *, is_guess: bool) -> _Job:
        if self._network.block is not None:
            return self._block_job(run, query, self._network.block, is_guess=is_guess)
        whole = Span(0, len(query.tokens))
        if query.cache == "none":
            return _Job(run, query, whole, None, is_guess)
        start = max(query.window.start - self._network.shift, 0)
        part = Span(start, query.window.stop if query.cache == "dual" else whole.stop)
        cached = self._cached.get(run)
        if cached is not None and cached.serves(query, part):
            return _Job(run, query, part, self._slots[run], is_guess)
        return _Job(run, query, whole, None if is_guess else self._slots[run], is_guess)

    def _block_job(self, run: Asker, query: Query, block: int, *, is_guess: bool) -> _Job:
        """From the first block on that the cache does not hold, or that is asked about, to the end of the window."""
        stop = min(-(-query.window.stop // block) * block, len(query.tokens))
        if query.cache == "none":
            return _Job(run, query, Span(0, stop), None, is_guess)
        held = self._cached[run].tokens if run in self._cached else query.tokens[:0]
        start = min([_same(held, query.tokens), *(query.positions - self._network.shift).clamp(min=0).tolist()])
        return _Job(run, query, Span(start // block * block, stop), self._slots[run], is_guess)

    def _groups(self, jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
        """Jobs that share a forward, those of neighbouring slots side by side."""
        shapes: defaultdict[tuple[int, bool, bool], list[_Job]] = defaultdict(list)
        for job in jobs:
            shapes[job.shape].append(job)
        for same in shapes.values():
            same.sort(key=lambda job: job.slot or 0)
            yield from (same[i : i + self._most_jobs] for i in range(0, len(same), self._most_jobs))

    def _evaluate(self, group: Sequence[_Job], shares: Shares) -> dict[_Job, Tensor]:
        """The logits of a group's queries; `shares` gets what they cost."""
        if self._halved:
            return {job: self._in_halves(job, shares) for job in group}
        found = self._try_forward(group)
        if found is not None:
            for run, count in Counter(job.run for job in group).items():
                shares[run] += count / len(group)
            return found
        if any(job.is_guess for job in group):
            self._guesses, group = False, [job for job in group if not job.is_guess]
        elif len(group) > 1:
            self._most_jobs = (len(group) + 1) // 2
        else:
            self._halved = True
        return {job: found for part in self._groups(group) for job, found in self._evaluate(part, shares).items()}

    def _try_forward(self, group: Sequence[_Job]) -> dict[_Job, Tensor] | None:
        """As `_forward`; None where memory ran out. The error's traceback, which holds what was too much, is gone."""
        try:
            return self._forward(group)
        except (MemoryError, RuntimeError) as exc:
            if not is_out_of_memory(exc):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _in_halves(self, job: _Job, shares: Shares) -> Tensor:
        """The logits of one query by two forwards: the logits of all its positions at once were too many."""
        positions = job.query.positions
        with as_out_of_memory(f"{len(positions)} positions of {len(job.query.tokens)} tokens, even half at a time"):
            found = []
            for half in torch.split(positions, (len(positions) + 1) // 2):
                part = replace(job, query=replace(job.query, positions=half))
                found.append(self._forward([part])[part])
                shares[job.run] += 1
            return torch.cat(found)

    def _forward(self, group: Sequence[_Job]) -> dict[_Job, Tensor]:
        """One forward for jobs of one shape. Equal canvases, as candidates begin with, are one row of it."""
        firsts: dict[object, _Job] = {}
        equal = {job: firsts.setdefault(job.content, job) for job in group}
        distinct = list(firsts.values())
        rows = [(job.query.positions - self._network.shift).clamp(min=0) - job.part.start for job in distinct]
        slots = [job.slot for job in distinct if job.slot is not None]
        logits = self._network(
            torch.stack([job.query.tokens[job.part.start : job.part.stop] for job in distinct]),
            rows,
            starts=[job.part.start for job in distinct],
            cache=(self._cache, slots) if slots else None,
            lengths=[len(job.query.tokens) for job in distinct],
        )
        self.forwards += 1
        for job, first in equal.items():
            if job is not first and job.slot is not None and first.slot is not None:
                self._network.copy_slot(self._cache, first.slot, job.slot)
        for job in group:
            if job.slot is None or job.is_guess:
                continue
            if self._network.block is not None:
                self._cached[job.run] = _Cached(job.query.window, job.query.tokens[: job.part.stop])
            elif job.is_whole:
                self._cached[job.run] = _Cached(job.query.window, job.query.tokens)
        found = dict(zip(distinct, torch.split(logits, [len(each) for each in rows]), strict=True))
        return {job: found[job] if job is first else found[first].clone() for job, first in equal.items()}


def _same(one: Tensor, other: Tensor) -> int:
    """How many tokens two canvases have in common at their beginning."""
    length = min(len(one), len(other))
    differing = (one[:length] != other[:length]).nonzero()
    return int(differing[0]) if len(differing) else length
