"""`diffu train grpo`: reinforcement by tests, with coupled-GRPO and its relatives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.report import Report
from diffucli.cli.train.options import Folder, Training

if TYPE_CHECKING:
    from diffucli.cli.train.running import Trainee
    from diffucli.decode.policy import Policy
    from diffucli.train.data import TrainingTask
    from diffucli.train.grpo import GrpoSettings
    from diffucli.train.plan import Load
    from diffucli.train.rewards import Reward

EXAMPLES = flag.examples(
    "diffu train grpo --tasks tasks.jsonl -o run",
    "diffu train grpo --tasks tasks.jsonl -o run --reward rewards:short --updates 200",
)
learning = partial(typer.Option, rich_help_panel="Objective")
rollout = partial(typer.Option, rich_help_panel="Rollouts")
TASKS_HELP = 'Tasks, a JSON object a line: "prompt", "tests", and whatever a reward reads.'
REWARD_HELP = "Your own reward in place of the tests: f(prompts, completions, **columns) gives a number for each."
ALGO_HELP = "What masks a completion is scored under, and what is an action: a token, or with espo a completion."
SCORE_HELP = "Weights of a token's score: those of the paper, which sum to 1.5, or to 1."
EPSILON_HELP = "How far a ratio may move. (default: 0.5, with espo 0.2)"
HIGH_HELP = "How far a ratio may move upwards. (default: as --epsilon)"
SYNC_HELP = "The reference becomes a copy of the weights after N updates; 0: never."
BASELINE_HELP = "What rewards are compared with: the mean of their group, or of its other members."
STRATIFIED_HELP = "Spread the masking probabilities evenly over a group."
LENGTH_HELP = "Masks of a completion."
RATE, ADAPTER_RATE = 1e-5, 1e-5
VIEWS = {"coupled": 3, "full": 1, "decoupled": 3, "espo": 2}


@dataclass(frozen=True, slots=True)
class Objective:
    """What is made likelier."""

    algo: Annotated[Literal["coupled", "full", "decoupled", "espo"], learning("--algo", help=ALGO_HELP)] = "coupled"
    score: Annotated[Literal["published", "normalised"], learning("--score", help=SCORE_HELP)] = "published"
    baseline: Annotated[Literal["mean", "leave-one-out"], learning("--baseline", help=BASELINE_HELP)] = "mean"
    beta: Annotated[
        float,
        learning(
            "--beta", metavar="X", min=0.0, max=1e3, callback=flag.number, help="Weight of the KL to the reference."
        ),
    ] = 0.01
    epsilon: Annotated[
        float | None, learning("--epsilon", metavar="X", min=0.0, max=1.0, callback=flag.number, help=EPSILON_HELP)
    ] = None
    epsilon_high: Annotated[
        float | None, learning("--epsilon-high", metavar="X", min=0.0, callback=flag.number, help=HIGH_HELP)
    ] = None
    sync: Annotated[int, learning("--sync", metavar="N", min=0, help=SYNC_HELP)] = 64
    iterations: Annotated[int, learning("--num-iterations", metavar="N", min=1, help="Updates by a batch.")] = 2
    stratified: Annotated[bool, learning("--stratified", metavar=flag.FLAG, help=STRATIFIED_HELP)] = False


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How completions are written; see `diffu gen`."""

    batch: Annotated[int, rollout("--batch", metavar="N", min=1, help="Tasks of a batch.")] = 8
    generations: Annotated[int, rollout("--num-generations", metavar="N", min=1, help="Completions of a task.")] = 8
    length: Annotated[int, rollout("--length", metavar="N", min=1, help=LENGTH_HELP)] = 256
    preset: Annotated[flag.Preset, rollout("--preset", help="How they are written; see docs/decoding.md.")] = (
        flag.Preset.balanced
    )
    temperature: Annotated[
        float, rollout("--temp", metavar="T", min=0.0, max=10.0, callback=flag.number, help="Sampling temperature.")
    ] = 1.2
    top_p: Annotated[
        float,
        rollout(
            "--top-p",
            metavar="P",
            callback=flag.number,
            help="Draw from the smallest set of tokens with this probability.",
        ),
    ] = 0.95
    steps: Annotated[
        int | None, rollout("--steps", metavar="N", min=1, help="Length of the schedule with --preset exact.")
    ] = None

    def policy(self) -> Policy:
        """The policy of the rollouts. UsageError: one that gives no group."""
        from diffucli.tasks.options import DecodingOptions
        from diffucli.train.rollouts import require_group

        wanted = {"temperature": self.temperature, "top_p": self.top_p, "steps": self.steps}
        policy = DecodingOptions(preset=self.preset.value, seed=0, **wanted).policy()  # type: ignore[arg-type]
        require_group(self.generations, policy)
        return policy


@grouped
def grpo(
    tasks: Annotated[Path, typer.Option("--tasks", metavar="FILE", help=TASKS_HELP)],
    output: Folder,
    training: Training,
    objective: Objective,
    rollouts: RolloutOptions,
    report: Report,
    reward: Annotated[str | None, typer.Option("--reward", metavar="MODULE:FUNCTION", help=REWARD_HELP)] = None,
    unconfined: flag.Unconfined = False,
) -> None:
    """Train a model on tasks with tests: it writes completions, and those that pass become likelier (coupled-GRPO).

    A small model is trained whole, a large one by an adapter; docs/training.md has what it needs. Ctrl-C saves.
    """
    from diffucli.cli.progress import status
    from diffucli.cli.train import running
    from diffucli.train import session
    from diffucli.train.data import read_tasks
    from diffucli.train.grpo import Grpo
    from diffucli.train.loop import Optimising
    from diffucli.train.state import hash_of

    policy = rollouts.policy()
    found = read_tasks(tasks, tested=reward is None)
    judge = _reward(reward, unconfined=unconfined)
    of = running.trainee(training, output, report)
    if len(found) == 1:
        of.report.warn(f"{tasks} has one task, so there is one group, which is learned by heart")
    settings = _settings(objective, rollouts, of, training.seed)
    optimising = Optimising(training.updates, training.rate or (ADAPTER_RATE if of.rank else RATE), sync=objective.sync)
    about = running.about(of, **asdict(settings), **asdict(optimising), policy=str(policy), reward=reward or "tests")
    with status(of.report, "auto") as show:
        load = _load(found, settings, of, with_reference=objective.beta > 0)
        trainer = running.trainer(of, training, load, optimising, show)

        def tell(stage: str) -> None:
            show(f"update {trainer.position.updates + 1} of {training.updates}: {stage} …")

        method = Grpo(trainer, found, policy, judge, settings, tell)
        updates = session.run(
            trainer,
            method,
            output,
            {**about, "file": hash_of(tasks)},
            resume=training.resume,
            base=of.entry.name,
            every=training.save_every,
        )
        running.finish(updates, output, of=of, trainer=trainer, training=training, show=show)


def _reward(name: str | None, *, unconfined: bool) -> Reward:
    from diffucli.sandbox import strongest
    from diffucli.train.rewards import by_function, by_tests

    return by_function(name) if name else by_tests("none" if unconfined else strongest())


def _settings(objective: Objective, rollouts: RolloutOptions, of: Trainee, seed: int) -> GrpoSettings:
    from diffucli.train.grpo import GrpoSettings
    from diffucli.train.surrogate import Clipping

    low = objective.epsilon if objective.epsilon is not None else (0.2 if objective.algo == "espo" else 0.5)
    high = low if objective.epsilon_high is None else objective.epsilon_high
    return GrpoSettings(
        objective.algo,
        objective.score,
        Clipping(low, high, objective.beta),
        objective.baseline,
        tasks=rollouts.batch,
        generations=rollouts.generations,
        iterations=objective.iterations,
        length=rollouts.length,
        stratified=objective.stratified,
        micro_batch=of.micro_batch,
        seed=seed,
    )


def _load(tasks: list[TrainingTask], settings: GrpoSettings, of: Trainee, *, with_reference: bool) -> Load:
    """What a forward with gradients computes at most."""
    from diffucli.tasks.prompt import opening
    from diffucli.train.plan import Load

    longest = max(len(opening(of.tokenizer, task.prompt)) for task in tasks)
    rows = VIEWS[settings.algorithm] * settings.micro_batch
    return Load(of.rank, rows, longest + settings.length, reference=with_reference, recompute=of.recompute)
