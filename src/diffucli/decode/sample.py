"""Sampling: logits become a proposal, one token and one score for each position, within constraints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from diffucli.decode.canvas import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.decode.resize import Resizing

Order = Literal["confidence", "margin", "entropy", "origin"]
NUCLEUS = 64  # candidates looked at for top-p before all are sorted
SURE_LINE_END = 0.9  # confidence from which a proposed newline ends its line


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: temperature 0 takes the likeliest; top_p draws from the smallest set of that mass.

    tempered: scores are taken after temperature and top-p, so these change the order too (DiffuCoder, arXiv
    2506.20639). Otherwise scores are the network's own, as a threshold needs: a temperature below 1 makes every score
    look surer than it is, and tokens would be committed together that do not fit.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    order: Order = "confidence"
    tempered: bool = True


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Proposal:
    """`tokens` `[n]`, `scores` `[n]` (higher is surer) and `logprobs` `[n]` (nats, by the network's own distribution).

    Scores are what the commit rule ranks by; log-probabilities are the same whatever the sampling.
    """

    tokens: Tensor
    scores: Tensor
    logprobs: Tensor

    def cpu(self) -> Proposal:
        """The same on the CPU, in one copy: the only time a step waits for the device.

        Whole numbers below 2^24 are exact in float32, the widest type that every device has.
        """
        rows = self.tokens, self.scores, self.logprobs
        tokens, scores, logprobs = torch.stack([row.float() for row in rows]).cpu()
        return Proposal(tokens.long(), scores, logprobs)


@dataclass(frozen=True, slots=True, eq=False)
class Constraints:
    """What may not be written, or not yet.

    forbidden: ids that are never written. vocab_size: the network's rows from there on were never trained. ends: ids
    that may not stand among the first `min_tokens` positions of a hole (one number a hole). line_ends: ids with a
    newline; what stands behind the first sure one waits until that line is written (after AdaBlock, arXiv 2509.26432).
    late: ids that are written after all others. resizing: tokens that change a hole's length. not_first: for each hole,
    ids that may not be its first token. banned: (position, id) pairs, of canvases whose holes do not change their
    length.
    """

    forbidden: tuple[int, ...] = ()
    vocab_size: int | None = None
    ends: tuple[int, ...] = ()
    min_tokens: tuple[int, ...] = ()
    line_ends: Tensor | None = None
    late: tuple[int, ...] = ()
    resizing: Resizing | None = None
    not_first: tuple[tuple[int, ...], ...] = ()
    banned: tuple[tuple[int, int], ...] = ()

    def apply(self, logits: Tensor, positions: Tensor, holes: Sequence[Span]) -> Tensor:
        """`logits` `[n, V]` for `positions` `[n]` (on the CPU) with what may not be written at -inf, in place."""
        if self.vocab_size is not None:
            logits[:, self.vocab_size :] = -torch.inf
        if self.forbidden:
            logits[:, list(self.forbidden)] = -torch.inf
        if self.ends and any(self.min_tokens):
            early = torch.zeros(len(positions), dtype=torch.bool)
            for hole, count in zip(holes, self.min_tokens, strict=True):
                early |= (positions >= hole.start) & (positions < min(hole.start + count, hole.stop))
            rows = early.nonzero().to(logits.device)
            if len(rows):
                logits[rows, list(self.ends)] = -torch.inf
        for hole, ids in zip(holes, self.not_first, strict=False):
            ban(logits, positions, Span(hole.start, hole.start + 1), ids)
        for position, token in self.banned:
            ban(logits, positions, Span(position, position + 1), (token,))
        return logits

    def defer(self, proposal: Proposal) -> Proposal:
        """`proposal` (on the CPU, in order; by confidence, if lines end) with scores of -inf for what has to wait."""
        if self.late:
            waits = torch.isin(proposal.tokens, torch.tensor(self.late))
            proposal = replace(proposal, scores=proposal.scores.masked_fill(waits, -torch.inf))
        if self.line_ends is None:
            return proposal
        ends = torch.isin(proposal.tokens, self.line_ends)
        sure = (ends & (proposal.scores >= SURE_LINE_END)).int()
        behind = sure.cumsum(0) > sure
        return replace(proposal, scores=proposal.scores.masked_fill(behind, -torch.inf))


def ban(logits: Tensor, positions: Tensor, span: Span, ids: Sequence[int]) -> None:
    """Sets the logits `[n, V]` of `ids` to -inf at those of `positions` `[n]` that lie in `span`."""
    rows = ((positions >= span.start) & (positions < span.stop)).nonzero().to(logits.device)
    if len(rows) and ids:
        logits[rows, list(ids)] = -torch.inf


def propose(logits: Tensor, sampling: Sampling, rng: torch.Generator) -> Proposal:
    """A token and its score for every row of `logits` `[n, V]`.

    Scores: confidence = p(token); margin = p1 - p2; entropy = Σ p·log(p + 1e-10), at most 0; origin scores nothing (0).
    """
    own = logits
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.top_p < 1:
        logits = nucleus(logits, sampling.top_p)
    best, tokens = logits.max(-1)
    if sampling.temperature > 0:
        tokens = (logits + gumbel(logits, rng)).argmax(-1)
    if sampling.temperature > 0 or own is not logits:
        best = own.gather(1, tokens[:, None])[:, 0]
    logprobs = best - own.logsumexp(-1)
    if own is logits or not sampling.tempered:
        return Proposal(tokens, _score(own, logprobs, sampling.order), logprobs)
    best = logits.gather(1, tokens[:, None])[:, 0]
    return Proposal(tokens, _score(logits, best - logits.logsumexp(-1), sampling.order), logprobs)


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """`logits` `[n, V]` with all outside the smallest set of mass > `top_p` at -inf; ties with its last member stay.

    Sorts the best few first, and all of them only where these do not reach the mass.
    """
    total = logits.logsumexp(-1, keepdim=True)
    for count in (min(NUCLEUS, logits.shape[1]), logits.shape[1]):
        values = logits.topk(count, dim=-1).values
        mass = (values - total).exp().cumsum(-1)
        if count == logits.shape[1] or bool((mass[:, -1] > top_p).all()):
            break
    size = 1 + (mass[:, :-1] <= top_p).sum(-1, keepdim=True)
    return logits.masked_fill(logits < values.gather(1, size - 1), -torch.inf)


def _score(logits: Tensor, logprobs: Tensor, order: Order) -> Tensor:
    """The scores of tokens with these log-probabilities in the distributions of `logits`."""
    if order == "confidence":
        return logprobs.exp()
    if order == "origin":
        return torch.zeros_like(logprobs)
    probabilities = logits.softmax(-1)
    if order == "margin":
        first, second = probabilities.topk(2, dim=-1).values.unbind(-1)
        return first - second
    return (probabilities * (probabilities + 1e-10).log()).sum(-1)


def gumbel(like: Tensor, rng: torch.Generator) -> Tensor:
    """Gumbel noise: the argmax of logits plus it is a draw from their softmax."""
    uniform = torch.rand(like.shape, generator=rng, device=like.device).clamp_(min=1e-20)
    return -(-uniform.log()).clamp_(min=1e-20).log()
