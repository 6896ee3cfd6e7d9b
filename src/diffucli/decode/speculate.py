"""Speculation: the canvases that the next steps may lead to are evaluated in the same forward as the current one.

What is written is the same, in fewer forwards. After Spiffy (arXiv 2509.18085).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from diffucli.decode.commit import Progress, ranked
from diffucli.decode.predict import Answer, Query
from diffucli.decode.sample import propose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.decode.loop import Queries, Run
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Proposal

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The logits `[n, V]` of a query that was answered."""

    query: Query
    logits: Tensor

    def find(self, query: Query) -> Tensor | None:
        """A copy of the logits for `query`, if it is about the same canvas and among the same positions."""
        known = self.query
        if query.window != known.window or not torch.equal(query.tokens, known.tokens):
            return None
        wanted = torch.isin(known.positions, query.positions)
        if int(wanted.sum()) < len(query.positions):
            return None
        return self.logits[wanted.to(self.logits.device)]


def speculate(run: Run[T], policy: Policy) -> Run[T]:
    """`run`, which follows `policy`, with up to `policy.speculate` guesses behind each of its queries.

    The guesses follow from the latest logits that the run has seen. A right guess answers a later query without a
    forward; a wrong one costs its row of the batch, nothing else.
    """
    known: list[_Known] = []
    latest: _Known | None = None
    answer: Answer | None = None
    try:
        while True:
            item = run.send(answer)
            answer = None
            if not isinstance(item, tuple):
                yield item
                continue
            (query,) = item
            found = next((logits for each in known if (logits := each.find(query)) is not None), None)
            if found is not None:
                answer = Answer((found,), 0.0)
            else:
                asked = (query, *_guesses(query, latest, policy))
                known, latest = [], None  # before there is room for the next ones
                got = yield asked
                assert isinstance(got, Answer), "a driver answers queries"
                known = [_Known(each, logits) for each, logits in zip(asked, got.logits, strict=False)]
                answer = Answer((got.logits[0].clone(),), got.nfe)
            latest = _Known(query, answer.logits[0])  # the run applies its constraints to these in place
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        run.close()


def _guesses(query: Query, latest: _Known | None, policy: Policy) -> Queries:
    """What `query` may have become after the next steps; nothing on a window's first step."""
    if latest is None or latest.query.window != query.window or len(latest.query.tokens) != len(query.tokens):
        return ()
    open_still = torch.isin(latest.query.positions, query.positions)
    positions = latest.query.positions[open_still]
    proposal = _expected(latest.logits[open_still.to(latest.logits.device)], policy).cpu()
    order = ranked(proposal.scores)
    places, tokens = positions[order].tolist(), proposal.tokens[order].tolist()
    sizes = _sizes(proposal.scores[order], query.progress, policy)
    picks = islice(subsets(sizes, len(places)), policy.speculate)
    return tuple(
        replace(query, tokens=written(query.tokens, [places[i] for i in ranks], [tokens[i] for i in ranks]))
        for ranks in picks
    )


def _expected(logits: Tensor, policy: Policy) -> Proposal:
    """The likeliest tokens, scored as the run scores what it draws."""
    sampling = policy.sampling
    if sampling.tempered and sampling.temperature > 0:
        logits = logits / sampling.temperature
    return propose(logits, replace(sampling, temperature=0.0), torch.Generator())


def _sizes(scores: Tensor, progress: Progress, policy: Policy) -> Iterator[int]:
    """How many of `scores`, best first, are committed after one step, two, …; all of them are no guess."""
    done, rng = 0, torch.Generator()
    for index in range(progress.index, progress.index + policy.speculate):
        if done < len(scores):
            left = scores[done:]
            masked = torch.ones(len(left), dtype=torch.bool)
            step = len(policy.commit(left, masked, Progress(index, progress.total), rng).commit)
            done += step
            if step and done < len(scores):
                yield done


def subsets(sizes: Iterable[int], count: int) -> Iterator[list[int]]:
    """Sets of the ranks below `count` with as many members as `sizes` (ascending) say, those of the best ranks first.

    With sizes 1, 2, 3, … these are {0}, {1}, {0, 1}, {2}, {0, 2}, {1, 2}, {0, 1, 2}, …: the first 2^m - 1 hold every
    order in which the m best may come. A chain {0}, {0, 1}, … ends where two steps come in another order.
    """
    for bits in merge(*(_numbers(size, count) for size in sizes)):
        yield [rank for rank in range(bits.bit_length()) if bits >> rank & 1]


def _numbers(ones: int, width: int) -> Iterator[int]:
    """Numbers of `width` bits, `ones` of which are set, in ascending order (Gosper)."""
    number = (1 << ones) - 1
    while number < 1 << width:
        yield number
        lowest = number & -number
        carried = number + lowest
        number = carried | ((number ^ carried) >> 2) // lowest


def written(tokens: Tensor, positions: Sequence[int], values: Sequence[int]) -> Tensor:
    """`tokens` `[L]` with `values` at `positions`."""
    changed = tokens.clone()
    changed[torch.tensor(positions, dtype=torch.long)] = torch.tensor(values, dtype=torch.long)
    return changed
