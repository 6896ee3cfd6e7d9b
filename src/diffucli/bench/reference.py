"""The published decoding loop, written out: an oracle for the preset `exact`, and a yardstick of `diffu bench`.

It does what `_sample` and `sample_tokens` of the checkpoints' generation_utils.py do (Dream-org/Dream-v0,
apple/DiffuCoder-7B) with alg="entropy", temperature 0 and steps = max_new_tokens, on the layers of transformers. It has
no early stop and no cache: every step evaluates the whole canvas and computes the logits of every position.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from diffucli.decode.policy import PRESETS
from diffucli.events import Event, Finished, Started
from diffucli.tasks.engine import Engine, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

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
    """Answers requests with the published loop in place of an `Engine`; its runs yield no steps."""

    checkpoint: Checkpoint
    network: WholeNetwork

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """The loop on the layers of transformers, which share the weights of `checkpoint`."""
        from diffucli.model.hf_reference import published

        return cls(checkpoint, published(checkpoint.network, checkpoint.config))

    def generate(self, query: str, *, tag: str = "python", length: int | None = None, least: int = 0) -> Run:
        """As `Engine.generate`; with any `least` above 0, end tokens are forbidden everywhere."""
        run = self._engine.generate(query, tag=tag, length=length)
        return replace(run, events=self._events(run, tuple(run.ends) if least else ()))

    def answer_of(self, run: Run, final: Finished) -> tuple[str, bool]:
        """As `Engine.answer_of`."""
        return self._engine.answer_of(run, final)

    @property
    def _engine(self) -> Engine:
        return Engine(self.checkpoint, PRESETS["exact"])

    def _events(self, run: Run, forbidden: Sequence[int]) -> Iterator[Event]:
        begun = time.perf_counter()
        mask, (hole,), device = self.checkpoint.tokenizer.mask, run.layout.holes, self.checkpoint.network.device
        yield Started(run.layout.tokens, mask, ((hole.start, hole.stop),))
        canvas = torch.tensor(run.layout.tokens, device=device)
        tokens = decode(self.network, canvas, mask=mask, forbidden=forbidden)
        yield Finished(tuple(tokens.tolist()), "complete", len(hole), time.perf_counter() - begun)
