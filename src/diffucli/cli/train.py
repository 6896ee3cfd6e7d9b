"""`diffu train`: trains a model; so far only mini, from its data to its model card."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli.groups import grouped
from diffucli.cli.progress import Show, meter
from diffucli.cli.report import Report, say
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.mini.recipe import Recipe, TrainingStarted, TrainingStep


class RecipeName(StrEnum):
    """Models that there is a recipe for."""

    mini = "mini"


class MiniSize(StrEnum):
    """Shapes of mini."""

    small = "small"
    large = "large"


@dataclass(frozen=True, slots=True)
class Training:
    """How to train."""

    minutes: Annotated[float, typer.Option(min=0.1, help="Training time, without data preparation.")] = 120.0
    size: Annotated[MiniSize, typer.Option(help="small: 4.7 M parameters; large: for an accelerator.")] = MiniSize.small
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto"
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and weights.")] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the weights in the folder.")] = False

    def recipe(self, sessions: int) -> Recipe:
        """The recipe with these settings.

        sessions: number of sessions before this one. If there are any, the causal stage is left out, other data is
        drawn, and the learning rates are lower.
        """
        from diffucli.mini.recipe import SHAPES, Recipe

        first = Recipe(SHAPES[self.size], minutes=self.minutes, device=self.device, seed=self.seed)
        if not sessions:
            return first
        return replace(first, causal=0.0, rate=2e-3, embed_rate=1.6e-3, seed=self.seed + sessions)


@grouped
def train(
    what: Annotated[RecipeName, typer.Argument(help="Model to train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Checkpoint folder to write.")],
    training: Training,
    report: Report,
    card: Annotated[
        Path | None, typer.Option(help="File of the model card; in the checkpoint folder by default.")
    ] = None,
    picture: Annotated[bool, typer.Option(help="Draw the loss curve; needs matplotlib.")] = True,
    only_card: Annotated[bool, typer.Option("--only-card", help="Only evaluate and write the card.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems of each group at most, for the card.")] = None,
) -> None:
    """Train the embedded model: data, vocabulary, training, evaluation and model card."""
    from diffucli.cli.evaluate import watched
    from diffucli.eval.card import make
    from diffucli.lab.chart import require_matplotlib

    if picture:
        require_matplotlib("leave it out with --no-picture")
    if not only_card:
        _train_mini(training, output, report)
    card = card or output / f"{what}.md"
    make(output, card, watch=partial(watched, report=report), limit=limit, picture=picture)
    if report.json:
        report.object("diffu.train/1", 0, folder=str(output), card=str(card))
    elif not report.quiet:
        say(f"wrote the checkpoint {output} and its card {card}")


def _train_mini(training: Training, folder: Path, report: Report) -> None:
    """Trains in `folder`. Raises UsageError if it has weights and --resume is not given, or the other way round."""
    from diffucli.mini import recipe as mini
    from diffucli.mini import training_log

    resumable = any(folder.glob("*.safetensors"))
    if resumable and not training.resume:
        raise UsageError(f"{folder} has a checkpoint in it", hint="name another folder, or add --resume or --only-card")
    if training.resume and not resumable:
        raise UsageError(f"{folder} has no weights to resume from", hint="leave --resume out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot make {folder}: {exc.strerror}", hint="name another folder") from exc
    before = training_log.read(folder) if resumable else None
    recipe = training.recipe(len(before.sessions) if before else 0)
    if before and before.recipe["size"] != asdict(recipe.size):
        raise UsageError(f"the network in {folder} has another size", hint="give its --size")
    with meter("training", report) as show:
        for event in training_log.logged(mini.train(recipe, folder), recipe, folder, before=before):
            _show(event, show)


def _show(event: TrainingStarted | TrainingStep, show: Show) -> None:
    from diffucli.mini.recipe import TrainingStarted

    if isinstance(event, TrainingStarted):
        functions = sum(event.functions.values())
        show(0, f"{event.parameters / 1e6:.1f} M parameters · {functions} open functions · {event.device}")
        return
    rate = event.tokens / event.seconds if event.seconds else 0.0
    show(event.done, f"{event.stage} · loss {event.loss:.3f} · {event.tokens / 1e6:.2f} M tokens · {rate:.0f} tok/s")
