"""Speculation: canvases that the next steps may lead to are evaluated in one forward with the canvas that is asked for.

Knows the commit rule and its schedule; the loop knows nothing of this. What is written is the same, forwards are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffucli.decode.commit import Progress, ranked
from diffucli.decode.loop import schedule
from diffucli.decode.sample import propose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.decode.canvas import Canvas, Span
    from diffucli.decode.policy import Policy
    from diffucli.decode.predict import Batched
    from diffucli.decode.sample import Proposal, Rules

Writing = tuple[list[int], list[int]]  # positions and the tokens that are guessed there


@dataclass(frozen=True, slots=True)
class _Known:
    """Logits `[B, n, V]` for `positions` `[n]` in each canvas of `tokens` `[B, L]`, while `window` was written."""

    window: Span
    tokens: Tensor
    positions: Tensor
    logits: Tensor

    def find(self, tokens: Tensor, window: Span, positions: Tensor) -> Tensor | None:
        """A copy of the logits for `positions` in the canvas `tokens` `[L]`; None where they are not known."""
        if window != self.window or not bool(torch.isin(positions, self.positions).all()):
            return None
        rows = (self.tokens == tokens).all(1).nonzero()[:, 0].tolist()
        asked = torch.isin(self.positions, positions).nonzero()[:, 0]
        return self.logits[rows[0], asked.to(tokens.device)] if rows else None


class Speculative:
    """A predictor that answers from an earlier forward where that one's guesses were right.

    Each forward evaluates the canvas as it is and up to `policy.speculate` guesses of what it becomes, drawn up from
    the last logits that were given. A wrong guess costs its row, nothing else: a row does not see the others. Where
    `predictor` caches, the rows share the keys and values outside the window. After Spiffy (arXiv 2509.18085).
    """

    def __init__(self, predictor: Batched, policy: Policy, rules: Rules) -> None:
        self._predictor, self._policy, self._rules = predictor, policy, rules
        self._rng = torch.Generator()  # for rules that draw, which are guessed badly
        self._canvas: Canvas | None = None
        self._plan: Iterator[tuple[Span, Progress]] = iter(())
        self._known: _Known | None = None
        self._latest: tuple[Span, Tensor, Tensor] | None = None  # window, positions, logits: what guesses come from

    @property
    def forwards(self) -> int:
        """Forwards spent, one for each batch."""
        return self._predictor.forwards

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions`; the loop must ask once a step, as the schedule is followed call by call."""
        progress = self._follow(canvas)
        logits = self._known.find(canvas.tokens, window, positions) if self._known else None
        if logits is None:
            guesses = self._guesses(window, positions, progress) if progress else []
            self._known = self._latest = None  # before there is room for the next ones
            tokens = written(canvas.tokens, guesses)
            found = self._predictor.batch(tokens, positions, canvas=canvas, window=window)
            self._known = _Known(window, tokens, positions, found)
            logits = found[0].clone()
        self._latest = window, positions, logits
        return logits

    def _follow(self, canvas: Canvas) -> Progress | None:
        """Where the loop is in its schedule."""
        if canvas is not self._canvas:
            self._canvas, self._plan = canvas, schedule(canvas, self._policy)
            self._known = self._latest = None
        return next((progress for _, progress in self._plan), None)

    def _guesses(self, window: Span, positions: Tensor, progress: Progress) -> list[Writing]:
        """What may be committed next in `window`, where `positions` are masked; nothing on its first step."""
        if self._latest is None or self._latest[0] != window:
            return []
        _, before, logits = self._latest
        kept = torch.isin(before, positions)
        where = before[kept]
        proposal = self._expected(self._rules(logits[kept.to(logits.device)], where)).here()
        order = ranked(proposal.scores)
        places, words = where[order].tolist(), proposal.tokens[order].tolist()
        picks = islice(subsets(self._sizes(proposal.scores[order], progress), len(places)), self._policy.speculate)
        return [([places[i] for i in ranks], [words[i] for i in ranks]) for ranks in picks]

    def _expected(self, logits: Tensor) -> Proposal:
        """The likeliest tokens, scored as the loop scores what it draws."""
        sampling = self._policy.sampling
        if sampling.tempered and sampling.temperature > 0:
            logits = logits / sampling.temperature
        return propose(logits, replace(sampling, temperature=0.0), self._rng)

    def _sizes(self, scores: Tensor, progress: Progress) -> Iterator[int]:
        """How much of `scores`, best first, is written after one step, two, …, by the rule; all of it is no guess."""
        done = 0
        for index in range(progress.index, progress.index + self._policy.speculate):
            if done < len(scores):
                step = len(self._policy.commit(scores[done:], Progress(index, progress.total), self._rng))
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


def written(tokens: Tensor, writings: Sequence[Writing]) -> Tensor:
    """`[1 + len(writings), L]`: `tokens` `[L]` as they are, then with each of `writings` in them."""
    batch = tokens.repeat(1 + len(writings), 1)
    cells = [
        (row, place, word) for row, pair in enumerate(writings, start=1) for place, word in zip(*pair, strict=True)
    ]
    if cells:
        rows, places, words = torch.tensor(cells, device=tokens.device).unbind(1)
        batch[rows, places] = words
    return batch
