"""What the tests of training share: the golden checkpoint to be trained, and a reward that it can learn."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.commit import Threshold
from diffucli.decode.policy import Policy
from diffucli.decode.sample import Sampling
from diffucli.model.load import load
from diffucli.train.data import TrainingTask
from diffucli.train.grpo import Grpo, GrpoSettings
from diffucli.train.loop import Optimising, Trainer, accelerator_for
from diffucli.train.surrogate import Clipping
from diffucli.train.weights import TrainedWeights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TASKS = [TrainingTask(f"write number {i}") for i in range(5)]
POLICY = Policy(Threshold(0.01), Sampling(temperature=1.0, tempered=False), block=32, cache="dual")


def lengths(tasks, completions):
    """Longer texts are better."""
    return [float(len(each.text)) for each in completions]


@pytest.fixture
def make_trainer(golden: Path) -> Callable[..., Trainer]:
    """make_trainer(rank=0, updates=4, …): a trainer of the golden checkpoint, as it is on the disk."""

    def make(*, rank: int = 0, updates: int = 4, rate: float = 1e-3, reference: bool = True, sync: int = 0) -> Trainer:
        weights = TrainedWeights(load(golden, device="cpu", trained=True), rank=rank, with_reference=reference)
        return Trainer(accelerator_for("cpu"), weights, Optimising(updates, rate, sync=sync))

    return make


@pytest.fixture
def make_grpo(make_trainer: Callable[..., Trainer]) -> Callable[..., Grpo]:
    """make_grpo(trainer, algorithm="coupled", …): the method on tasks whose reward is the length of the text."""

    def make(trainer: Trainer | None = None, *, reward=lengths, beta: float = 0.01, **changed: object) -> Grpo:
        settings = {"tasks": 2, "generations": 4, "length": 16, "algorithm": "coupled", **changed}
        fill = partial(GrpoSettings, score="published", clipping=Clipping(0.5, 0.5, beta), baseline="mean")
        return Grpo(trainer or make_trainer(), TASKS, POLICY, reward, fill(**settings))

    return make
