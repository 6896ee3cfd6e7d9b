"""Proposals: logits become one token and one score for each position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Order = Literal["confidence", "margin", "entropy", "origin"]
NUCLEUS = 64  # candidates looked at for top-p before all are sorted
SURE = 0.9  # of a line's end


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: temperature 0 takes the likeliest; top_p keeps the smallest set of that mass.

    tempered: scores are taken after temperature and top-p, so these change the order too (DiffuCoder, arXiv
    2506.20639). Else they are the network's own, which a threshold needs: a temperature below 1 makes every score look
    surer than it is, and with it tokens are committed together that do not fit.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    order: Order = "confidence"
    tempered: bool = True


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Proposal:
    """`tokens` `[n]` and `scores` `[n]` (float32; higher is surer)."""

    tokens: Tensor
    scores: Tensor

    def here(self) -> Proposal:
        """The same on the CPU, in one copy: a step's one wait for the device.

        Whole numbers below 2^24 are exact in float32, the widest that every device has.
        """
        tokens, scores = torch.stack([self.tokens.float(), self.scores.float()]).cpu()
        return Proposal(tokens.long(), scores)


@dataclass(frozen=True, slots=True)
class Rules:
    """What may not appear, or not yet.

    forbidden: ids that may stand nowhere. size: rows from there on were never trained. ends, needed: ids that may not
    stand at the positions `needed`, so that a hole is not closed before it holds what it must. line_ends: ids with a
    newline; what is behind the first sure one waits until that line is written (after AdaBlock, arXiv 2509.26432).
    """

    forbidden: tuple[int, ...] = ()
    size: int | None = None
    ends: tuple[int, ...] = ()
    needed: frozenset[int] = frozenset()
    line_ends: tuple[int, ...] = ()

    def __call__(self, logits: Tensor, positions: Tensor) -> Tensor:
        """`logits` `[n, V]` for `positions` `[n]` (CPU) with what may not appear at -inf, in place."""
        if self.size is not None:
            logits[:, self.size :] = -torch.inf
        if self.forbidden:
            logits[:, list(self.forbidden)] = -torch.inf
        if self.ends and self.needed:
            rows = [[row] for row, position in enumerate(positions.tolist()) if position in self.needed]
            if rows:
                logits[torch.tensor(rows), list(self.ends)] = -torch.inf
        return logits

    def in_line(self, proposal: Proposal) -> Proposal:
        """`proposal` (CPU), by confidence and in the order of positions, with scores of -inf for what has to wait."""
        if not self.line_ends:
            return proposal
        ends = torch.isin(proposal.tokens, torch.tensor(self.line_ends))
        sure = (ends & (proposal.scores >= SURE)).int()
        behind = sure.cumsum(0) > sure
        return Proposal(proposal.tokens, proposal.scores.masked_fill(behind, -torch.inf))


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
    scored = logits if sampling.tempered else own
    if sampling.temperature > 0 or scored is not logits:
        best = scored.gather(1, tokens[:, None])[:, 0]
    return Proposal(tokens, _score(scored, best, sampling.order))


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """`logits` `[n, V]` outside the smallest set of mass > `top_p` at -inf; what ties with its last member stays too.

    Looks at the best few first; all are sorted only where these do not reach the mass.
    """
    total = logits.logsumexp(-1, keepdim=True)
    for count in (min(NUCLEUS, logits.shape[1]), logits.shape[1]):
        values = logits.topk(count, dim=-1).values
        mass = (values - total).exp().cumsum(-1)
        if count == logits.shape[1] or bool((mass[:, -1] > top_p).all()):
            break
    size = 1 + (mass[:, :-1] <= top_p).sum(-1, keepdim=True)
    return logits.masked_fill(logits < values.gather(1, size - 1), -torch.inf)


def _score(logits: Tensor, best: Tensor, order: Order) -> Tensor:
    if order == "confidence":
        return (best - logits.logsumexp(-1)).exp()
    if order == "origin":
        return torch.zeros_like(best)
    probabilities = logits.softmax(-1)
    if order == "margin":
        first, second = probabilities.topk(2, dim=-1).values.unbind(-1)
        return first - second
    return (probabilities * (probabilities + 1e-10).log()).sum(-1)


def gumbel(like: Tensor, rng: torch.Generator) -> Tensor:
    """Gumbel noise: the argmax of logits plus it is a draw from their softmax."""
    uniform = torch.rand(like.shape, generator=rng, device=like.device).clamp_(min=1e-20)
    return -(-uniform.log()).clamp_(min=1e-20).log()
