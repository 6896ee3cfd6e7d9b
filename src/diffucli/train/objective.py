"""The masked-diffusion objective, and the causal one that a model may start from.

Knows token ids and holes; nothing of tasks or text.
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

LEAST_TIME, HEAVIEST = 0.05, 5.0
PAD_WEIGHT = 0.1
BLOCK = 32


@dataclass(frozen=True, slots=True)
class Batch:
    """`tokens` `[B, L]`; `holes` `[B, L]`: what is trained on; `valid` `[B, L]`: what is there; `answers` `[B]`."""

    tokens: Tensor
    holes: Tensor
    valid: Tensor
    answers: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(*(value.to(device) for value in (self.tokens, self.holes, self.valid, self.answers)))


def collate(rows: Sequence[tuple[Sequence[int], Sequence[Span], bool]], *, pad: int) -> Batch:
    """Rows of (tokens, holes, whether the last hole ends the canvas), padded on the right to the longest."""
    length = max(len(tokens) for tokens, _, _ in rows)
    tokens = torch.full((len(rows), length), pad)
    holes, valid = torch.zeros(len(rows), length, dtype=torch.bool), torch.zeros(len(rows), length, dtype=torch.bool)
    for i, (ids, spans, _) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        valid[i, : len(ids)] = True
        for span in spans:
            holes[i, span.start : span.stop] = True
    return Batch(tokens, holes, valid, torch.tensor([answers for _, _, answers in rows]))


def times(count: int, rng: torch.Generator) -> Tensor:
    """`count` masking probabilities, spread evenly over (LEAST_TIME, 1] from one random start (low discrepancy)."""
    start = torch.rand(1, generator=rng)
    even = (start + torch.arange(count) / count) % 1
    return LEAST_TIME + (1 - LEAST_TIME) * even[torch.randperm(count, generator=rng)]


def corrupt(batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which positions `[B, L]` to mask, and the weight `[B, L]` of each in the loss.

    Each hole token with probability t, weighted 1/t. Every third answer is masked as block-wise decoding meets it:
    nothing left of a random block, everything right of it. Every tenth is wholly masked.
    """
    time = times(len(batch.tokens), rng)[:, None]
    masked = batch.holes & (torch.rand(batch.tokens.shape, generator=rng) < time)
    place = torch.arange(batch.tokens.shape[1])[None]
    first = batch.holes.int().argmax(1, keepdim=True)
    offset = (torch.rand(time.shape, generator=rng) * batch.holes.sum(1, keepdim=True)).long()
    begin = first + offset // BLOCK * BLOCK
    blockwise = batch.holes & (place >= begin) & (masked | (place >= begin + BLOCK))
    kind = torch.rand(time.shape, generator=rng)
    ahead, whole = batch.answers[:, None] & (kind < 0.33), kind > 0.9
    masked = torch.where(ahead, blockwise, torch.where(whole, batch.holes, masked))
    weight = torch.where(ahead | whole, torch.ones(()), (1 / time).clamp(max=HEAVIEST))
    return masked, weight.expand_as(masked)


def diffusion_loss(model: Qwen2ForCausalLM, batch: Batch, *, mask: int, pad: int, rng: torch.Generator) -> Tensor:
    """Mean cross-entropy, nats, of the masked tokens, each predicted by the output to its left.

    `rng` is the CPU's; the head is applied to masked rows alone.
    """
    device = batch.tokens.device
    masked, weight = corrupt(batch.to(torch.device("cpu")), rng)
    masked, weight = masked.to(device), weight.to(device)
    hidden = model.model(
        input_ids=batch.tokens.masked_fill(masked, mask), attention_mask=batch.valid.long(), use_cache=False
    ).last_hidden_state
    return _loss(model, hidden, batch.tokens, masked, weight * _kinds(batch.tokens, pad))


def causal_loss(model: Qwen2ForCausalLM, batch: Batch, *, pad: int) -> Tensor:
    """Mean cross-entropy, nats, of every token after the first, given those to its left."""
    hidden = model.model(input_ids=batch.tokens, use_cache=False).last_hidden_state
    weight = torch.where(batch.holes, 1.0, 0.2) * _kinds(batch.tokens, pad)
    return _loss(model, hidden, batch.tokens, batch.valid, weight)


def _kinds(tokens: Tensor, pad: int) -> Tensor:
    """The weight `[B, L]` of each token: pads weigh little, but for the first of a run, which says where text ends."""
    pads = tokens == pad
    return torch.where(pads & pads.roll(1, dims=1), PAD_WEIGHT, 1.0)


def _loss(model: Qwen2ForCausalLM, hidden: Tensor, tokens: Tensor, asked: Tensor, weight: Tensor) -> Tensor:
    asked = asked[:, 1:]
    logits = model.lm_head(hidden[:, :-1][asked]).float()
    weights = weight[:, 1:][asked]
    losses = F.cross_entropy(logits, tokens[:, 1:][asked], reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)
