"""Coupled-GRPO on mini, in small: rollouts together, the variance of six estimators, and reward curves of three seeds.

    python docs/scripts/grpo.py rollouts
    python docs/scripts/grpo.py variance --completions 16 --draws 64
    python docs/scripts/grpo.py curves --seeds 3 --updates 60 --records curves.jsonl
    python docs/scripts/grpo.py curves --tasks 8 --algo coupled

Prints Markdown tables; docs/training.md has those of a run. Tasks are requests that mini was not trained on, chosen
so that of eight completions some pass and some do not.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import torch

from diffucli.lab import markdown
from diffucli.lab.chart import chart
from diffucli.mini import held_out
from diffucli.model.load import load
from diffucli.sandbox import strongest
from diffucli.tasks.generate import Request
from diffucli.tasks.options import DecodingOptions
from diffucli.trace.order import ar_ness, order_of
from diffucli.train import estimators
from diffucli.train.data import TrainingTask, split_tests
from diffucli.train.grpo import Grpo, GrpoSettings
from diffucli.train.loop import Optimising, Trainer, accelerator_for
from diffucli.train.rewards import by_tests
from diffucli.train.rollouts import generator_of, roll_out, seed_of
from diffucli.train.scoring import logprobs
from diffucli.train.surrogate import Clipping, advantages
from diffucli.train.weights import TrainedWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.train.loop import UpdateBatch
    from diffucli.train.rollouts import Completion

MINI = Path(__file__).parents[2] / "src" / "diffucli" / "models" / "mini"
LENGTH, GENERATIONS, BATCH, FULL_REWARD = 56, 8, 8, 2.5
LOW, HIGH = estimators.LOWEST_TIME, estimators.HIGHEST_TIME
COORDINATES = 50_000  # of the gradient, drawn once: a share of its variance and of its norm
FORWARDS = {"full": 1, "pair": 2, "pair + full": 3, "independent + full": 3, "stratified": 3, "counts": 2}
BOOTSTRAPS = 500


def main() -> None:
    """Runs a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["rollouts", "variance", "curves"])
    parser.add_argument("--algo", action="append", choices=["coupled", "full", "decoupled", "espo"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--tasks", type=int, default=24, help="tasks to train on, and as many that are held out")
    parser.add_argument("--records", type=Path, metavar="FILE", help="keep the trainings here, and go on from there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the rewards")
    parser.add_argument("--completions", type=int, default=16)
    parser.add_argument("--draws", type=int, default=64, help="a multiple of 8, at least 16")
    flags = parser.parse_args()
    if flags.draws not in range(16, 4096, 8):
        parser.error("--draws is a multiple of 8, at least 16")
    if flags.part == "rollouts":
        rollouts(load(MINI, device="cpu"))
    elif flags.part == "variance":
        variance(load(MINI, device="cpu", trained=True), flags.completions, flags.draws)
    else:
        curves(flags)


def policy(temperature: float = 1.5, **changed: object) -> Policy:
    """How completions are written."""
    return DecodingOptions(temperature=temperature, top_p=0.95, seed=0, **changed).policy()  # type: ignore[arg-type]


def tasks() -> Iterator[TrainingTask]:
    """Compositions and phrasings that mini was not trained on, in a random order that is always the same."""
    found = [*held_out.compositions(120, seed=7), *held_out.phrasings()]
    random.Random(0).shuffle(found)
    return (TrainingTask(each.text, split_tests(each.tests)) for each in found)


def judged(checkpoint: Checkpoint, task: TrainingTask, how: Policy, seed: int) -> tuple[list[Completion], list[float]]:
    """Completions of a task, and their rewards."""
    (group,) = roll_out(checkpoint, [Request(task.prompt, length=LENGTH)], how, seeds=[seed], count=GENERATIONS)
    return group, [each or 0.0 for each in by_tests(strongest())([task] * len(group), group)]


def mixed(checkpoint: Checkpoint, count: int) -> Iterator[tuple[TrainingTask, list[Completion], list[float]]]:
    """Tasks of which some of eight completions pass, and some do not."""
    found = ((task, *judged(checkpoint, task, policy(), seed_of("mixed", task.prompt))) for task in tasks())
    return islice((each for each in found if 0 < each[2].count(FULL_REWARD) < GENERATIONS), count)


# rollouts


def rollouts(checkpoint: Checkpoint, count: int = 6) -> None:
    """How many completions a second are written one by one, and eight at a time."""
    requests = [Request(task.prompt, length=LENGTH, verify="warn") for task in islice(tasks(), count)]
    rows, seconds = [], {}
    for size in (1, GENERATIONS):
        begun = time.process_time()
        for i, request in enumerate(requests):
            for start in range(0, GENERATIONS, size):
                _rows(checkpoint, request, seed_of(i) + start, size)
        seconds[size] = time.process_time() - begun
        rows.append(
            [f"{size} at a time", f"{count * GENERATIONS / seconds[size]:.1f}", f"{seconds[1] / seconds[size]:.2f}"]
        )
    print(markdown.table(["rows", "completions a second of the processor", "rate"], rows))


def _rows(checkpoint: Checkpoint, request: Request, seed: int, size: int) -> list[list[Completion]]:
    return roll_out(checkpoint, [request], policy(), seeds=[seed], count=size)


# variance


@dataclass(frozen=True, slots=True)
class Rows:
    """Completions, and their advantages `[completions]`."""

    completions: list[Completion]
    weights: torch.Tensor

    def scored(self, i: int) -> torch.Tensor:
        """`[1, L]`."""
        return torch.arange(LENGTH)[None] < self.completions[i].scored


def masks(scored: torch.Tensor, where: Iterable[object]) -> dict[str, estimators.Views]:
    """The views of a draw for one completion, by estimator; "single" is half of an independent pair."""
    rng = generator_of(*where)
    noise, share = torch.rand(5, 1, LENGTH, generator=rng), torch.rand(2, generator=rng)
    t = (LOW + (HIGH - LOW) * share[0])[None]
    pair = estimators.coupled(scored, noise[0], t)
    thirds = LOW + (HIGH - LOW) * ((share[1] + torch.arange(3)) / 3)
    count = (share[0] * (scored.sum(1) + 1)).long()
    return {
        "full": estimators.full(scored),
        "pair": pair,
        "single": estimators.decoupled(scored, [noise[1]], [t.flip(0)]),
        "stratified": estimators.decoupled(scored, list(noise[2:]), [each[None] for each in thirds]),
        "counts": estimators.coupled_by_count(scored, noise[0], count),
    }


def combined(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The six estimators `[draws, …]` of what was drawn; independent pairs are of neighbouring single draws."""
    pair, single, whole = found["pair"], found["single"], found["full"]
    independent = (single[0::2] + single[1::2]) / 2
    return {
        "full": whole,
        "pair": pair,
        "pair + full": (2 * pair + whole) / 3,
        "independent + full": (2 * independent + whole[::2]) / 3,
        "stratified": found["stratified"],
        "counts": found["counts"],
    }


def drawn(checkpoint: Checkpoint, rows: Rows, i: int, draws: int) -> dict[str, torch.Tensor]:
    """`[draws, n]`: the scores of the n tokens of completion i in each draw."""
    one, found = rows.completions[i], {}
    with torch.no_grad():
        for d in range(draws):
            for name, views in masks(rows.scored(i), ("variance", i, d)).items():
                found.setdefault(name, []).append(token_scores(checkpoint, one, views)[0, : one.scored])
    return {name: torch.stack(each) for name, each in found.items()}


def token_scores(checkpoint: Checkpoint, one: Completion, views: estimators.Views) -> torch.Tensor:
    """`[1, L]`: the scores of a completion's tokens."""
    count, span = len(views.masked), one.span
    canvases = torch.tensor([one.canvas] * count)
    targets = canvases[:, span.start : span.stop].clone()
    canvases[:, span.start : span.stop] = torch.where(views.masked[:, 0], checkpoint.tokenizer.mask, targets)
    found = logprobs(checkpoint.network, canvases, span, targets, views.scored[:, 0])
    return estimators.scores(views, found[:, None])


def variance(checkpoint: Checkpoint, completions: int, draws: int) -> None:
    """Prints the tables of the three levels."""
    weights = TrainedWeights(checkpoint, rank=0, with_reference=False)
    rows = _rows_of(checkpoint, completions)
    before = [drawn(checkpoint, rows, i, draws) for i in range(completions)]
    print("Tokens: variance of a score, and squared error to the mean score under one view's masks\n")
    print(_token_table(before, with_error=True))
    found = {name: torch.stack(each) for name, each in _gradients(checkpoint, weights, rows, draws // 4).items()}
    print("\nGradients at the weights that wrote: variance over squared norm, and cosine to the mean of all draws\n")
    print(_gradient_table(combined(found)))
    _one_step(checkpoint, weights, rows)
    after = [drawn(checkpoint, rows, i, draws) for i in range(completions)]
    print("\nDrift: variance of the log-ratio of a token after one update, with equal masks on both sides\n")
    print(_token_table([{k: new[k] - old[k] for k in old} for old, new in zip(before, after, strict=True)]))


def _rows_of(checkpoint: Checkpoint, count: int) -> Rows:
    """Completions of tasks with both outcomes, and their advantages."""
    completions, weights = [], []
    for _, group, rewards in mixed(checkpoint, -(-count // 4)):
        centred = advantages(torch.tensor([rewards]), "mean")[0].tolist()
        best = sorted(range(len(group)), key=lambda i: -abs(centred[i]))[:4]
        completions += [group[i] for i in best]
        weights += [centred[i] for i in best]
    return Rows(completions[:count], torch.tensor(weights[:count]))


def _token_table(found: Sequence[dict[str, torch.Tensor]], *, with_error: bool = False) -> str:
    """Per estimator, at three forwards: the mean over tokens, and the ratio to independent pairs with its interval."""
    sums: dict[str, list[tuple[float, float]]] = {name: [] for name in FORWARDS}
    for one in found:
        target = one["pair"].mean(0)
        for name, values in combined(one).items():
            spread = values.var(0) * FORWARDS[name] / 3
            sums[name].append((float(spread.sum()), float((values.mean(0) - target).square().sum() + spread.sum())))
    tokens = sum(one["pair"].shape[1] for one in found)
    base = [each for each, _ in sums["independent + full"]]
    table = []
    for name, pairs in sums.items():
        own = [each for each, _ in pairs]
        cells = [name, str(FORWARDS[name]), f"{sum(own) / tokens:.4g}", _interval(own, base)]
        table.append([*cells, f"{sum(each for _, each in pairs) / tokens:.4g}"] if with_error else cells)
    header = ["estimator", "forwards", "variance at 3 forwards", "to independent + full"]
    return markdown.table([*header, "squared error"] if with_error else header, table)


def _interval(own: Sequence[float], base: Sequence[float], *, paired: bool = True) -> str:
    """The ratio of two means, and its 95 % interval by bootstrap. paired: over completions, which both sides share."""
    rng, ratios = random.Random(0), []
    for _ in range(BOOTSTRAPS):
        chosen = rng.choices(range(len(own)), k=len(own))
        others = chosen if paired else rng.choices(range(len(base)), k=len(base))
        ratios.append(fmean(own[i] for i in chosen) / max(fmean(base[i] for i in others), 1e-30))
    low, high = sorted(ratios)[BOOTSTRAPS // 40], sorted(ratios)[-BOOTSTRAPS // 40]
    return f"{fmean(own) / fmean(base):.2f} ({low:.2f} to {high:.2f})"


def _gradients(
    checkpoint: Checkpoint, weights: TrainedWeights, rows: Rows, draws: int
) -> dict[str, list[torch.Tensor]]:
    """Some coordinates of the gradient of Σ A · score over all completions, in each draw."""
    total = sum(each.numel() for each in weights.parameters)
    places = torch.randperm(total, generator=generator_of("coordinates"))[:COORDINATES]
    found: dict[str, list[torch.Tensor]] = {}
    for d in range(draws):
        views = [masks(rows.scored(i), ("gradient", i, d)) for i in range(len(rows.completions))]
        for name in views[0]:
            for parameter in weights.parameters:
                parameter.grad = None
            for one, each, weight in zip(rows.completions, views, rows.weights, strict=True):
                (weight * token_scores(checkpoint, one, each[name]).sum()).backward()
            grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights.parameters]
            found.setdefault(name, []).append(torch.cat([each.flatten() for each in grads])[places])
    return found


def _gradient_table(found: dict[str, torch.Tensor]) -> str:
    """Per estimator: variance over squared norm, the ratio to independent pairs (bootstrap over draws), and cosine."""
    table, target = [], found["pair"].mean(0)
    deviations = {name: _deviations(values) for name, values in found.items()}
    for name, values in found.items():
        spread = fmean(deviations[name])
        norm = float(values.mean(0).square().sum()) - spread / len(values)
        cosines = [
            float(torch.cosine_similarity(each, _others(values, i) if name == "pair" else target, dim=0))
            for i, each in enumerate(values)
        ]
        own, base = ([each * FORWARDS[one] for each in deviations[one]] for one in (name, "independent + full"))
        relative = f"{spread * FORWARDS[name] / 3 / norm:.3f}" if norm > 0 else "-"
        ratio = _interval(own, base, paired=False)
        table.append([name, str(FORWARDS[name]), relative, ratio, f"{fmean(cosines):.3f}"])
    header = ["estimator", "forwards", "variance at 3 forwards", "variance to independent + full", "cosine of one draw"]
    return markdown.table(header, table)


def _deviations(values: torch.Tensor) -> list[float]:
    """Squared distances of draws `[draws, n]` to their mean, which together are an unbiased variance."""
    draws = len(values)
    distances = (values - values.mean(0)).square().sum(1) * draws / (draws - 1)
    return [float(each) for each in distances]


def _others(values: torch.Tensor, i: int) -> torch.Tensor:
    return (values.sum(0) - values[i]) / (len(values) - 1)


@torch.no_grad()
def _one_step(checkpoint: Checkpoint, weights: TrainedWeights, rows: Rows, rate: float = 1e-4) -> None:
    """One update of AdamW by the mean of eight coupled draws."""
    optimizer = torch.optim.AdamW(weights.parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    optimizer.zero_grad()
    with torch.enable_grad():
        for d in range(8):
            for i, (one, weight) in enumerate(zip(rows.completions, rows.weights, strict=True)):
                views = masks(rows.scored(i), ("step", i, d))["pair"]
                (-weight * token_scores(checkpoint, one, views).sum()).backward()
    optimizer.step()


# reward curves


@dataclass(frozen=True, slots=True)
class Held:
    """What is measured on each held-out task.

    passed: the share of completions, written as in the training, that pass. whole, half: the same at temperature 0.2
    with a step for each token, and with half the steps. ar_ness: of a greedy answer, overall, at k = 1.
    """

    passed: list[float]
    whole: list[float]
    half: list[float]
    ar_ness: list[float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A training: the mean reward of each batch, and what it changed. minutes: of the processor."""

    algorithm: str
    seed: int
    updates: int
    rewards: list[float]
    before: Held
    after: Held
    minutes: float


def curves(flags: argparse.Namespace) -> None:
    """Trains with each algorithm and seed on the same tasks, and prints what it did to these and to others.

    Trainings that are in the file of records are not repeated.
    """
    algorithms, records = flags.algo or ["coupled", "full", "decoupled", "espo"], flags.records
    found = [_read(line) for line in records.read_text().splitlines()] if records and records.exists() else []
    known = {(each.algorithm, each.seed) for each in found}
    wanted = [(name, seed) for seed in range(flags.seeds) for name in algorithms if (name, seed) not in known]
    chosen = [task for task, _, _ in mixed(load(MINI, device="cpu"), 2 * flags.tasks)] if wanted else []
    for algorithm, seed in wanted:
        curve = trained(algorithm, chosen[: flags.tasks], chosen[flags.tasks :], seed=seed, updates=flags.updates)
        found.append(curve)
        if records:
            with records.open("a") as file:
                file.write(f"{json.dumps(asdict(curve))}\n")
        print(f"{algorithm} {seed}: {' '.join(f'{each:.2f}' for each in curve.rewards)}", flush=True)
    print(_curve_table(found))
    if flags.picture:
        _draw(found, flags.picture)


def trained(
    algorithm: str, training: Sequence[TrainingTask], others: Sequence[TrainingTask], *, seed: int, updates: int
) -> Curve:
    """A training of mini, with what is measured on held-out tasks before and after."""
    begun = time.process_time()
    checkpoint = load(MINI, device="cpu", trained=True)
    weights = TrainedWeights(checkpoint, rank=0, with_reference=True)
    trainer = Trainer(accelerator_for("cpu"), weights, Optimising(updates, 1e-4, sync=64))
    low = 0.2 if algorithm == "espo" else 0.5
    settings = GrpoSettings(
        algorithm,  # type: ignore[arg-type]
        "published",
        Clipping(low, low, 0.01),
        "mean",
        tasks=min(BATCH, len(training)),
        length=LENGTH,
        seed=seed,
    )
    before = measured(checkpoint, others, seed)
    method = Rewarded(Grpo(trainer, training, policy(), by_tests(strongest()), settings))
    for _ in trainer.train(method, save=lambda: None, every=updates):
        pass
    after = measured(checkpoint, others, seed)
    minutes = (time.process_time() - begun) / 60
    return Curve(algorithm, seed, trainer.position.updates, method.rewards, before, after, minutes)


@dataclass(frozen=True, slots=True)
class Rewarded:
    """A method whose mean rewards are kept, those of batches without a difference among them."""

    method: Grpo
    rewards: list[float] = field(default_factory=list)

    def batch(self, number: int) -> UpdateBatch:
        """As of the method."""
        batch = self.method.batch(number)
        self.rewards.append(batch.figures["reward"])
        return batch


def measured(checkpoint: Checkpoint, others: Sequence[TrainingTask], seed: int) -> Held:
    """What the weights do on held-out tasks."""
    ways = policy(), *(policy(0.2, preset="exact", steps=steps) for steps in (LENGTH, LENGTH // 2))
    return Held(*(pass_rates(checkpoint, others, how, seed) for how in ways), ar_ness=left_to_right(checkpoint, others))


def pass_rates(checkpoint: Checkpoint, others: Sequence[TrainingTask], how: Policy, seed: int) -> list[float]:
    """The share of completions of each task that pass."""
    rewards = (judged(checkpoint, each, how, seed_of("held out", seed, each.prompt))[1] for each in others)
    return [each.count(FULL_REWARD) / GENERATIONS for each in rewards]


def left_to_right(checkpoint: Checkpoint, others: Sequence[TrainingTask]) -> list[float]:
    """The overall AR-ness at k = 1 of greedy answers, one token a step, where it can be told."""
    from diffucli.decode.loop import alone
    from diffucli.tasks.engine import Effort
    from diffucli.tasks.generate import generate

    found = []
    for task in others:
        how = replace(policy(0.0, preset="exact"), seed=0)
        effort = Effort(repair=0, doubt=False)
        events = list(
            alone(checkpoint.network, generate(checkpoint, Request(task.prompt, length=LENGTH), how, effort=effort))
        )
        if measure := ar_ness(order_of(events), 1, with_ends=False):
            found.append(measure.overall)
    return found


def _read(line: str) -> Curve:
    found = json.loads(line)
    return Curve(**{**found, "before": Held(**found["before"]), "after": Held(**found["after"])})


def _curve_table(found: Sequence[Curve]) -> str:
    """A row an algorithm: means over its seeds; changes with their standard errors over held-out tasks."""
    rows = []
    for name in dict.fromkeys(each.algorithm for each in found):
        own = [each for each in found if each.algorithm == name]
        rows.append(
            [
                name,
                " ".join(str(each.updates) for each in own),
                f"{fmean(each.rewards[0] for each in own):.2f}",
                " ".join(f"{fmean(each.rewards[-2:]):.2f}" for each in own),
                f"{100 * fmean(fmean(each.before.passed) for each in own):.1f} %",
                _change([_less(each.after.passed, each.before.passed) for each in own], 100),
                _change([_less(each.before.half, each.before.whole) for each in own], 100),
                _change([_less(each.after.half, each.after.whole) for each in own], 100),
                f"{fmean(fmean(each.before.ar_ness) for each in own):.3f}",
                _change([[fmean(each.after.ar_ness) - fmean(each.before.ar_ness)] for each in own], 1),
                f"{fmean(each.minutes for each in own):.1f}",
            ]
        )
    return markdown.table(
        [
            "algorithm",
            "updates",
            "first reward",
            "last rewards",
            "held-out pass@1",
            "change",
            "half the steps, before",
            "after",
            "AR-ness",
            "change",
            "minutes",
        ],
        rows,
    )


def _less(after: Sequence[float], before: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(after, before, strict=True)]


def _change(of_seeds: Sequence[Sequence[float]], unit: float) -> str:
    """The mean change of values `[seeds][tasks]`, and its standard error over tasks, or over seeds if there is one."""
    tasks = [fmean(each) for each in zip(*of_seeds, strict=True)]
    values = tasks if len(tasks) > 1 else [each[0] for each in of_seeds]
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    digits = 1 if unit > 1 else 3
    return f"{unit * fmean(values):+.{digits}f} ± {unit * error:.{digits}f}"


def _draw(found: Sequence[Curve], path: Path) -> None:
    """The mean reward of each batch over the seeds; a training that ended early keeps its last reward."""
    longest = max(len(each.rewards) for each in found)
    with chart(path, x="batch", y="mean reward", height=3.0) as axes:
        for name in dict.fromkeys(each.algorithm for each in found):
            padded = [
                [*each.rewards, *[each.rewards[-1]] * (longest - len(each.rewards))]
                for each in found
                if each.algorithm == name
            ]
            axes.plot(range(1, longest + 1), [fmean(each) for each in zip(*padded, strict=True)], label=name)
        axes.legend()


if __name__ == "__main__":
    main()
