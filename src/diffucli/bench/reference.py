"""The published decoding loop, written out: an oracle for the preset `exact`, and a yardstick of `diffu bench`.

It does what `_sample` and `sample_tokens` of the checkpoints' generation_utils.py do (Dream-org/Dream-v0,
apple/DiffuCoder-7B) with alg="entropy", temperature 0 and steps = max_new_tokens, on the layers of transformers. It has
no early stop and no cache: every step evaluates the whole canvas and computes the logits of every position.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from diffucli.decode.canvas import Canvas, Span
from diffucli.events import Finished, Started

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Constraints
    from diffucli.model.load import Checkpoint

EPS = 1e-3


class WholeNetwork(Protocol):
    """A network without a cache: tokens `[L]` of the whole canvas and rows `[R]` → logits `[R, V]`."""

    @property
    def shift(self) -> int:
        """How many positions to the left of a token its prediction is."""
        ...

    def __call__(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """One forward."""
        ...


def decode(network: WholeNetwork, tokens: Tensor, *, mask: int, forbidden: Sequence[int] = ()) -> Tensor:
    """`tokens` `[L]` with every `mask` replaced, in as many steps as there are masks; a step is one forward.

    forbidden: ids that get no probability, like those of a `generation_logits_hook_func` of the published loop.
    Probabilities are float32 whatever the dtype of the weights, and ties go to the leftmost position.
    """
    canvas = tokens.clone()
    steps = int((canvas == mask).sum())
    times = torch.linspace(1, EPS, steps + 1)
    rows = torch.arange(len(canvas), device=canvas.device)
    for step in range(steps):
        logits = network(canvas, rows)
        if network.shift:
            logits = torch.cat([logits[:1], logits[:-1]])
        logits[:, list(forbidden)] = -torch.inf
        masked = canvas == mask
        probabilities = logits[masked].softmax(-1)
        best = probabilities.argmax(-1)
        confidence = (probabilities * (probabilities + 1e-10).log()).sum(-1)
        left = int(masked.sum())
        count = int(left * (1 - times[step + 1] / times[step])) if step < steps - 1 else left
        scores = torch.full(canvas.shape, -torch.inf, device=canvas.device)
        scores[masked] = confidence
        proposed = torch.full_like(canvas, mask)
        proposed[masked] = best
        chosen = scores.argsort(descending=True, stable=True)[:count]
        canvas[chosen] = proposed[chosen]
    return canvas


@dataclass(frozen=True, slots=True)
class PublishedLoop:
    """The loop in place of `diffucli.decode.loop.denoise`. Its runs have no steps that can be seen.

    It knows no constraints, except that end tokens are forbidden everywhere where a hole has a least length.
    """

    network: WholeNetwork

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """The loop on the layers of transformers, which share the weights of `checkpoint`."""
        from diffucli.train.hf_reference import published

        return cls(published(checkpoint.network, checkpoint.config))

    def __call__(self, canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
        """Writes all masks of `canvas`; the policy is that of the loop, whatever it says."""
        del policy
        begun, masks = time.perf_counter(), canvas.masks_left
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        forbidden = constraints.ends if any(constraints.min_tokens) else ()
        found = decode(self.network, canvas.tokens, mask=canvas.mask, forbidden=forbidden).cpu()
        positions = canvas.open_masks(Span(0, len(canvas)))
        canvas.commit(positions.tolist(), found[positions].tolist())
        tokens, seconds = tuple(canvas.tokens.tolist()), time.perf_counter() - begun
        yield (finished := Finished(tokens, "complete", masks, seconds, canvas.spans))
        return finished
