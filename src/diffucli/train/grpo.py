"""Coupled-GRPO and its relatives: completions are rolled out and rewarded, and the better ones made likelier.

The algorithm is that of arXiv 2506.20639, section 5; "espo" is that of arXiv 2512.03759.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from statistics import pstdev
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffucli.tasks.generate import Request
from diffucli.train.data import shuffled
from diffucli.train.estimators import HIGHEST_TIME, LOWEST_TIME, Views, draw, scores
from diffucli.train.loop import Part, UpdateBatch, mine
from diffucli.train.objective import times
from diffucli.train.rollouts import generator_of, roll_out, seed_of
from diffucli.train.scoring import logprobs
from diffucli.train.surrogate import TokenScores, advantages, by_sequence, by_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.decode.policy import Policy
    from diffucli.train.data import TrainingTask
    from diffucli.train.estimators import Algorithm, Score
    from diffucli.train.loop import Trainer
    from diffucli.train.rewards import Reward
    from diffucli.train.rollouts import Completion
    from diffucli.train.surrogate import Baseline, Clipping

SUCCESS = 1e-6  # rewards that differ by less are equal


@dataclass(frozen=True, slots=True)
class GrpoSettings:
    """How completions become updates.

    tasks: of a batch. generations: completions of a task. iterations: updates by a batch, each with masks of its own.
    length: masks of a completion. stratified: the completions of a group have masking probabilities that are spread
    evenly, and not one for the whole batch. micro_batch: completions that are computed with at a time.
    """

    algorithm: Algorithm
    score: Score
    clipping: Clipping
    baseline: Baseline
    tasks: int = 8
    generations: int = 8
    iterations: int = 2
    length: int = 256
    stratified: bool = False
    micro_batch: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """Completions that are computed together: their canvases `[B, n]` are equally long.

    scored: `[B, L]`. advantage: `[B]`. keys: (place of the task in its batch, number of the completion).
    """

    canvases: Tensor
    first: Completion
    scored: Tensor
    advantage: Tensor
    keys: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Grpo:
    """The method: batches of tasks, their completions, and the losses of these. tell: gets the name of each stage."""

    trainer: Trainer
    tasks: Sequence[TrainingTask]
    policy: Policy
    reward: Reward
    settings: GrpoSettings
    tell: Callable[[str], object] = lambda _: None

    def batch(self, number: int) -> UpdateBatch:
        """Batch `number`: rollouts with the weights as they are now; a pass for each iteration."""
        settings, begun = self.settings, time.perf_counter()
        self.tell("writing completions")
        chosen = mine(self.trainer.accelerator, shuffled(self.tasks, settings.tasks, number, settings.seed))
        groups = roll_out(
            self.trainer.weights.checkpoint,
            [Request(task.prompt, length=settings.length, verify="warn") for _, task in chosen],
            self.policy,
            seeds=[seed_of(settings.seed, "rollout", number, place) for place, _ in chosen],
            count=settings.generations,
        )
        rolled = time.perf_counter()
        self.tell("testing them")
        rewards = self._rewards([task for _, task in chosen], groups)
        figures = self._figures(rewards, groups, seconds=(rolled - begun, time.perf_counter() - rolled))
        self.tell("learning")
        micros = list(self._micro_batches([place for place, _ in chosen], groups, rewards))
        terms = sum(self._terms(micro) for micro in micros)
        total = self.trainer.total({"terms": float(terms)})["terms"]
        return UpdateBatch(self._passes(number, micros, total) if total else (), figures)

    def _rewards(self, tasks: Sequence[TrainingTask], groups: Sequence[Sequence[Completion]]) -> Tensor:
        """`[P, G]`, NaN where there is none."""
        flat = [each for group in groups for each in group]
        found = self.reward([task for task, group in zip(tasks, groups, strict=True) for _ in group], flat)
        numbers = [float("nan") if each is None else each for each in found]
        return torch.tensor(numbers).view(len(groups), self.settings.generations)

    def _micro_batches(
        self, places: Sequence[int], groups: Sequence[Sequence[Completion]], rewards: Tensor
    ) -> Iterator[MicroBatch]:
        """The completions of groups whose rewards differ, by the layout of their canvases."""
        alike: dict[object, list[tuple[Completion, float, tuple[int, int]]]] = defaultdict(list)
        for place, group, weights in zip(places, groups, advantages(rewards, self.settings.baseline), strict=True):
            if float(weights.abs().max()) > SUCCESS:
                for i, (each, weight) in enumerate(zip(group, weights.tolist(), strict=True)):
                    alike[len(each.canvas), each.span].append((each, weight, (place, i)))
        for rows in alike.values():
            for i in range(0, len(rows), self.settings.micro_batch):
                yield _micro_batch(rows[i : i + self.settings.micro_batch])

    def _passes(self, number: int, micros: Sequence[MicroBatch], terms: float) -> list[Callable[[], Iterator[Part]]]:
        """The updates of a batch. What old and reference weights say of all of them is computed now.

        The first update is made with the weights that wrote the completions, so its old scores are its own.
        """
        views = [[self._views(number, i, micro) for micro in micros] for i in range(self.settings.iterations)]
        with torch.no_grad():
            old = [
                [self._scores(*each) if i else None for each in zip(micros, of_pass, strict=True)]
                for i, of_pass in enumerate(views)
            ]
        reference: list[list[Tensor | None]] = [[None] * len(micros) for _ in views]
        if self.settings.clipping.beta:
            with self.trainer.weights.as_reference():
                reference = [[self._scores(*each) for each in zip(micros, of_pass, strict=True)] for of_pass in views]
        return [
            partial(self._parts, list(zip(micros, *each, strict=True)), terms)
            for each in zip(views, old, reference, strict=True)
        ]

    def _parts(
        self, rows: Sequence[tuple[MicroBatch, Views, Tensor | None, Tensor | None]], terms: float
    ) -> Iterator[Part]:
        """The loss of each micro-batch. terms: of the whole batch, in all processes."""
        surrogate = by_sequence if self.settings.algorithm == "espo" else by_token
        for micro, views, old, reference in rows:
            score = self._scores(micro, views)
            known = TokenScores(score, score.detach() if old is None else old, reference)
            advantage, scored = (each.to(score.device) for each in (micro.advantage, micro.scored))
            found = surrogate(known, advantage, scored, self.settings.clipping)
            yield Part(found.loss / terms, {"kl": found.kl / terms, "clipped": found.clipped / terms})

    def _views(self, number: int, iteration: int, micro: MicroBatch) -> Views:
        """The masks of a pass. They depend on the batch, the pass and the completion, and on nothing else."""
        settings, where = self.settings, (self.settings.seed, "masks", number, iteration)
        rngs = [generator_of(*where, *key) for key in micro.keys]
        if settings.stratified:
            spread = {
                place: times(settings.generations, generator_of(*where, place), low=LOWEST_TIME, high=HIGHEST_TIME)
                for place, _ in micro.keys
            }
            time = torch.stack([spread[place][i] for place, i in micro.keys])
        else:
            time = times(1, generator_of(*where), low=LOWEST_TIME, high=HIGHEST_TIME).expand(len(rngs))
        return draw(settings.algorithm, micro.scored, rngs, time, settings.score)

    def _scores(self, micro: MicroBatch, views: Views) -> Tensor:
        """`[B, L]`: the scores of the completions' tokens, by one forward for each view."""
        checkpoint, span = self.trainer.weights.checkpoint, micro.first.span
        targets = micro.canvases[:, span.start : span.stop]
        canvases = micro.canvases.expand(len(views.masked), -1, -1).clone()
        canvases[:, :, span.start : span.stop].masked_fill_(views.masked, checkpoint.tokenizer.mask)
        repeated = targets.expand(len(views.masked), -1, -1)
        with self.trainer.accelerator.autocast():
            flat = (each.flatten(0, 1) for each in (canvases, repeated, views.scored))
            tokens, wanted, where = flat
            found = logprobs(checkpoint.network, tokens, span, wanted, where)
        return scores(views, found.view(views.masked.shape))

    def _terms(self, micro: MicroBatch) -> int:
        return len(micro.keys) if self.settings.algorithm == "espo" else int(micro.scored.sum())

    def _figures(
        self, rewards: Tensor, groups: Sequence[Sequence[Completion]], *, seconds: tuple[float, float]
    ) -> dict[str, float]:
        """Means over all processes."""
        known = [[each for each in row if each == each] for row in rewards.tolist()]  # noqa: PLR0124 — not NaN
        flat = [each for group in groups for each in group]
        sums = {
            "tasks": float(len(groups)),
            "rewards": float(sum(map(len, known))),
            "reward": float(sum(map(sum, known))),
            "deviation": float(sum(pstdev(row) for row in known if row)),
            "mixed": float(sum(max(row) - min(row) > SUCCESS for row in known if row)),
            "ended": float(sum(each.ended for each in flat)),
            "tokens": float(sum(each.scored for each in flat)),
            "forwards": sum(each.nfe for each in flat),
            "rollout_seconds": seconds[0],
            "reward_seconds": seconds[1],
        }
        total = self.trainer.total(sums)
        tasks, answers = total["tasks"], total["tasks"] * self.settings.generations
        shares = {key: total[key] / tasks for key in ("deviation", "mixed")}
        shares |= {key: total[key] / answers for key in ("ended", "tokens", "forwards")}
        means = {key: total[key] / self.trainer.accelerator.num_processes for key in total if key.endswith("seconds")}
        return {"reward": total["reward"] / max(total["rewards"], 1), **shares, **means}


def _micro_batch(rows: Sequence[tuple[Completion, float, tuple[int, int]]]) -> MicroBatch:
    completions, weights, keys = zip(*rows, strict=True)
    size = len(completions[0].span)
    scored = torch.arange(size)[None] < torch.tensor([each.scored for each in completions])[:, None]
    canvases = torch.tensor([each.canvas for each in completions])
    return MicroBatch(canvases, completions[0], scored, torch.tensor(weights), tuple(keys))
