"""The training loop: batches of losses become updates of weights, on one process or many, and a state to go on from.

Knows neither rewards nor text: what a batch is, its `Method` says. All processes draw the same batches and share their
rows, so N processes do what one does.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from diffucli.errors import DiffuError, UsageError, as_out_of_memory
from diffucli.model import nf4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from accelerate import Accelerator  # type: ignore[import-untyped]

    from diffucli.train.weights import TrainedWeights

    Processes = Accelerator

BARREN = 10  # batches without a difference in rewards after which there is no use in going on
LAST_RATE = 0.1  # share of the learning rate at the end of its cosine
LESS_TO_DO = "give a smaller --micro-batch or --length, --lora 16, or --recompute"


@dataclass(frozen=True, slots=True)
class Part:
    """A micro-batch: its share of the loss of the whole batch, and its share of figures; these are summed up."""

    loss: Tensor
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """What is learned from at a time. passes: each makes the parts of one update. figures: of the batch itself."""

    passes: Sequence[Callable[[], Iterator[Part]]]
    figures: Mapping[str, float]


class Method(Protocol):
    """What is trained: makes batch number n, the same one whenever it is asked."""

    def batch(self, number: int) -> UpdateBatch: ...


@dataclass(frozen=True, slots=True)
class Optimising:
    """How weights are updated, by AdamW. updates: how many. rate: falls by a cosine to a tenth, after `warmup` updates.

    largest_norm: to which gradients are clipped. sync: updates after which the reference becomes a copy; 0: never.
    """

    updates: int
    rate: float
    warmup: int = 0
    decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    largest_norm: float = 0.2
    sync: int = 0

    def rate_at(self, update: int) -> float:
        """The learning rate of update number `update`, from 0."""
        done = min(update / max(self.updates, 1), 1.0)
        cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))
        return self.rate * cosine * min((update + 1) / (self.warmup + 1), 1.0)


@dataclass(frozen=True, slots=True)
class Updated:
    """An update. update: its number, from 1. batch: the number of its batch, from 0. seconds: since the one before."""

    update: int
    batch: int
    figures: Mapping[str, float]
    seconds: float


@dataclass(slots=True)
class Position:
    """Where a training stands: updates done, the next batch, and batches without a signal in a row."""

    updates: int = 0
    batch: int = 0
    barren: int = 0


class Interrupted(DiffuError):
    """The user stopped the training, which has been saved."""


def accelerator_for(device: str) -> Accelerator:
    """The process among those that `accelerate launch` or torchrun has started; alone without them.

    device: "cpu" keeps it on the CPU.
    """
    nf4.block_hub_kernels()
    from accelerate import Accelerator

    is_cpu = device == "cpu" or not torch.cuda.is_available()
    return Accelerator(cpu=is_cpu, mixed_precision="no" if is_cpu else "bf16")


class Trainer:
    """TrainedWeights and their optimiser, which make updates of batches. `save` writes both with the position."""

    def __init__(self, accelerator: Accelerator, weights: TrainedWeights, optimising: Optimising) -> None:
        self.accelerator, self.weights, self.optimising = accelerator, weights, optimising
        self.position = Position()
        self.optimizer = torch.optim.AdamW(
            weights.parameters, lr=optimising.rate, betas=optimising.betas, weight_decay=optimising.decay
        )

    def train(
        self, method: Method, *, save: Callable[[], object], every: int, stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[Updated]:
        """Updates until there are enough. save: is called after `every` updates or more, and at the end.

        Between two batches nothing is half done, so that is where it is saved. It ends early when BARREN batches in a
        row have nothing to learn; UsageError: it was so from the beginning.
        """
        position, saved, begun = self.position, self.position.updates, time.perf_counter()
        while position.updates < self.optimising.updates:
            if self._any(stopping=stopping()):
                save()
                raise Interrupted(f"stopped after {position.updates} updates", hint="--resume goes on from there")
            batch = method.batch(position.batch)
            position.barren = 0 if batch.passes else position.barren + 1
            if position.barren == BARREN:
                position.barren = 0
                save()
                if position.updates:
                    return
                raise UsageError(
                    f"in {BARREN} batches all completions of a task had equal rewards, so there is nothing to learn",
                    hint="give tasks that are sometimes solved, a higher --temp, or a larger --num-generations",
                )
            for parts in batch.passes[: self.optimising.updates - position.updates]:
                figures = {**batch.figures, **self._update(parts)}
                now = time.perf_counter()
                yield Updated(position.updates, position.batch, figures, now - begun)
                begun = now
            position.batch += 1
            if position.updates - saved >= every or position.updates >= self.optimising.updates:
                save()
                saved = position.updates

    def total(self, values: Mapping[str, float]) -> dict[str, float]:
        """The sums of `values`, which have the same keys in each process, over all processes."""
        if self.accelerator.num_processes == 1:
            return dict(values)
        flat = torch.tensor([*values.values()], dtype=torch.float64, device=self._wide)
        return dict(zip(values, self.accelerator.reduce(flat, "sum").tolist(), strict=True))

    def _update(self, parts: Callable[[], Iterator[Part]]) -> dict[str, float]:
        """One update; its figures."""
        rate, sums = self.optimising.rate_at(self.position.updates), Counter[str]()
        self.optimizer.zero_grad()
        with as_out_of_memory("an update", hint=LESS_TO_DO):
            for part in parts():
                self.accelerator.backward(part.loss)
                sums.update({"loss": float(part.loss.detach()), **part.figures})
        self._share_gradients()
        norm = float(nn.utils.clip_grad_norm_(self.weights.parameters, self.optimising.largest_norm))
        if not math.isfinite(norm):
            where = f"update {self.position.updates + 1}"
            raise UsageError(f"the gradient of {where} is not finite", hint="give a lower --learning-rate")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.position.updates += 1
        if self.optimising.sync and self.position.updates % self.optimising.sync == 0:
            self.weights.renew_reference()
        return {**self._figures(sums), "gradient_norm": norm, "learning_rate": rate}

    def _figures(self, sums: Mapping[str, float]) -> dict[str, float]:
        """The sums over all processes; one without parts has none of the keys."""
        if self.accelerator.num_processes == 1:
            return dict(sums)
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        found: Counter[str] = Counter()
        for each in gather_object([dict(sums)]):
            found.update(each)
        return dict(found)

    def _share_gradients(self) -> None:
        """Sums the gradients of all processes up; each has its share of the loss of the whole batch."""
        for parameter in self.weights.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.accelerator.num_processes > 1:
            flat = torch.cat(
                [parameter.grad.flatten() for parameter in self.weights.parameters if parameter.grad is not None]
            )
            flat = self.accelerator.reduce(flat, "sum")
            for parameter, part in zip(
                self.weights.parameters, flat.split([each.numel() for each in self.weights.parameters]), strict=True
            ):
                parameter.grad = part.view_as(parameter)

    def _any(self, *, stopping: bool) -> bool:
        """Whether any process is to stop."""
        return self.total({"stopping": float(stopping)})["stopping"] > 0

    @property
    def _wide(self) -> Any:
        return self.accelerator.device


def mine(accelerator: Accelerator, items: Sequence[Any]) -> list[tuple[int, Any]]:
    """The share of `items` that this process has, each with its index."""
    return list(enumerate(items))[accelerator.process_index :: accelerator.num_processes]
