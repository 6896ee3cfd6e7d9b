"""The masked diffusion objective, and the causal one that a training can start with.

Knows token ids and holes; does not know tasks or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import Qwen2ForCausalLM

    from diffucli.decode.canvas import Span

MIN_TIME = 0.05  # smallest masking probability
MAX_WEIGHT = 5.0  # of a masked token
PAD_WEIGHT = 0.1  # of a padding token after another one
CAUSAL_CONTEXT_WEIGHT = 0.2  # of a token outside the holes, in the causal loss
BLOCK = 32  # tokens of a block in block-wise decoding
BLOCKWISE, WHOLE = 0.33, 0.1  # shares of the answers that are masked block-wise, and completely
WHOLE_HOLES = 0.4  # share of the other rows whose holes are masked completely, as decoding begins
USUAL_HOLE, MAX_HOLE_WEIGHT = 24, 2.5  # tokens; holes with fewer weigh more, since a row has its price in any case


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded batch of rows.

    tokens: `[B, L]`. holes: `[B, L]`, the tokens that are trained on. valid: `[B, L]`, false for padding of the batch.
    answers: `[B]`, whether the last hole reaches to the end of the row.
    """

    tokens: Tensor
    holes: Tensor
    valid: Tensor
    answers: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(*(value.to(device) for value in (self.tokens, self.holes, self.valid, self.answers)))


def collate(rows: Sequence[tuple[Sequence[int], Sequence[Span], bool]], *, pad: int) -> Batch:
    """A batch of rows (tokens, holes, whether the last hole reaches to the end), padded on the right."""
    length = max(len(tokens) for tokens, _, _ in rows)
    tokens = torch.full((len(rows), length), pad)
    holes, valid = torch.zeros(len(rows), length, dtype=torch.bool), torch.zeros(len(rows), length, dtype=torch.bool)
    for i, (ids, spans, _) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        valid[i, : len(ids)] = True
        for span in spans:
            holes[i, span.start : span.stop] = True
    return Batch(tokens, holes, valid, torch.tensor([answers for _, _, answers in rows]))


def times(count: int, rng: torch.Generator, *, low: float = MIN_TIME, high: float = 1.0) -> Tensor:
    """`count` masking probabilities in random order, spread evenly over (low, high] from one random offset.

    It is the low-discrepancy sampler of Kingma et al. 2021, "Variational Diffusion Models".
    """
    start = torch.rand(1, generator=rng)
    even = (start + torch.arange(count) / count) % 1
    return low + (high - low) * even[torch.randperm(count, generator=rng)]


def corrupt(batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The positions `[B, L]` to mask, and the weight `[B, L]` of each in the loss.

    A token in a hole is masked with probability t and weighted by 1/t, at most MAX_WEIGHT. A third of the answers is
    masked as in block-wise decoding: nothing to the left of a random block, everything to the right. In a tenth of the
    answers, in 0.4 of the other rows, and where no token was drawn, every token in a hole is masked. The weights of
    these two kinds are 1. Then small holes that are no answers weigh more.
    """
    time = times(len(batch.tokens), rng)[:, None]
    masked = batch.holes & (torch.rand(batch.tokens.shape, generator=rng) < time)
    position = torch.arange(batch.tokens.shape[1])[None]
    first = batch.holes.int().argmax(1, keepdim=True)
    offset = (torch.rand(time.shape, generator=rng) * batch.holes.sum(1, keepdim=True)).long()
    begin = first + offset // BLOCK * BLOCK
    blockwise = batch.holes & (position >= begin) & (masked | (position >= begin + BLOCK))
    kind = torch.rand(time.shape, generator=rng)
    answers = batch.answers[:, None]
    by_block = answers & (kind < BLOCKWISE)
    whole = (kind > 1 - torch.where(answers, WHOLE, WHOLE_HOLES)) | ~(by_block | masked.any(1, keepdim=True))
    masked = torch.where(by_block, blockwise, torch.where(whole, batch.holes, masked))
    weight = torch.where(by_block | whole, torch.ones(()), (1 / time).clamp(max=MAX_WEIGHT))
    small = (USUAL_HOLE / batch.holes.sum(1, keepdim=True)).sqrt().clamp(1, MAX_HOLE_WEIGHT)
    return masked, (weight * torch.where(answers, 1.0, small)).expand_as(masked)


def diffusion_loss(model: Qwen2ForCausalLM, batch: Batch, *, mask: int, pad: int, rng: torch.Generator) -> Tensor:
    """Weighted mean cross-entropy of the masked tokens, in nats; each is predicted by the output to its left.

    rng: a generator on the CPU. The head is applied to masked positions only.
    """
    device = batch.tokens.device
    masked, weight = corrupt(batch.to(torch.device("cpu")), rng)
    masked, weight = masked.to(device), weight.to(device)
    hidden = model.model(
        input_ids=batch.tokens.masked_fill(masked, mask), attention_mask=batch.valid.long(), use_cache=False
    ).last_hidden_state
    return _loss(model, hidden, batch.tokens, masked, weight * padding_weight(batch.tokens, pad))


def causal_loss(model: Qwen2ForCausalLM, batch: Batch, *, pad: int) -> Tensor:
    """Weighted mean cross-entropy of every token after the first, given those to its left, in nats."""
    hidden = model.model(input_ids=batch.tokens, use_cache=False).last_hidden_state
    weight = torch.where(batch.holes, 1.0, CAUSAL_CONTEXT_WEIGHT) * padding_weight(batch.tokens, pad)
    return _loss(model, hidden, batch.tokens, batch.valid, weight)


def padding_weight(tokens: Tensor, pad: int) -> Tensor:
    """The weight `[B, L]` of each token: low for padding after padding; the first padding token ends the text."""
    pads = tokens == pad
    return torch.where(pads & pads.roll(1, dims=1), PAD_WEIGHT, 1.0)


def _loss(model: Qwen2ForCausalLM, hidden: Tensor, tokens: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    targets = targets[:, 1:]
    logits = model.lm_head(hidden[:, :-1][targets]).float()
    weights = weight[:, 1:][targets]
    losses = F.cross_entropy(logits, tokens[:, 1:][targets], reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)
