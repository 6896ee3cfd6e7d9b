"""`diffu train`: makes a model; so far the embedded one, from its data to its card."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli.groups import grouped
from diffucli.cli.progress import Show, meter
from diffucli.cli.report import Report, say
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.mini.recipe import Begun, Progress, Recipe


class What(StrEnum):
    """What there is a recipe for."""

    mini = "mini"


class Size(StrEnum):
    """Shapes of mini."""

    small = "small"
    large = "large"


@dataclass(frozen=True, slots=True)
class Training:
    """How to train."""

    minutes: Annotated[float, typer.Option(min=0.1, help="Wall time of the training itself.")] = 120.0
    size: Annotated[Size, typer.Option(help="small: 4.7 M parameters; large: for an accelerator.")] = Size.small
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto"
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and weights.")] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the weights that are there.")] = False

    def recipe(self, goes: int) -> Recipe:
        """The recipe with this in it; after some `goes`, without the causal stage, on other data, at a lower rate."""
        from diffucli.mini.recipe import SIZES, Recipe

        first = Recipe(SIZES[self.size], minutes=self.minutes, device=self.device, seed=self.seed)
        return replace(first, causal=0.0, rate=2e-3, embed_rate=1.6e-3, seed=self.seed + goes) if goes else first


@grouped
def train(
    what: Annotated[What, typer.Argument(help="What to train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint folder to make.")],
    training: Training,
    report: Report,
    card: Annotated[Path | None, typer.Option(help="Where the model card goes; else beside the weights.")] = None,
    picture: Annotated[bool, typer.Option(help="Draw the loss for the card; needs matplotlib.")] = True,
    only_card: Annotated[bool, typer.Option("--only-card", help="Train nothing: measure what is there.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems of each group at most to measure on.")] = None,
) -> None:
    """Train the embedded model: data, vocabulary, training, evaluation and model card in one go."""
    from diffucli.chart import require_matplotlib
    from diffucli.cli.card import make

    if picture:
        require_matplotlib("leave it out with --no-picture")
    if not only_card:
        _make(training, output, report)
    card = card or output / f"{what}.md"
    make(output, card, report, limit=limit, picture=picture)
    if report.json:
        report.object("diffu.train/1", 0, folder=str(output), card=str(card))
    elif not report.quiet:
        say(f"{output} holds the checkpoint, {card} is its card")


def _make(training: Training, folder: Path, report: Report) -> None:
    """Trains into `folder`, which holds no weights yet unless they are to be gone on from. Raises UsageError."""
    from diffucli.mini import journal
    from diffucli.mini import recipe as mini

    begun = any(folder.glob("*.safetensors"))
    if begun and not training.resume:
        raise UsageError(
            f"{folder} holds a checkpoint already", hint="name another folder, or add --resume or --only-card"
        )
    if training.resume and not begun:
        raise UsageError(f"{folder} holds no weights to go on from", hint="leave --resume out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot make {folder}: {exc.strerror}", hint="name another folder") from exc
    before = journal.read(folder) if begun else None
    recipe = training.recipe(len(before.goes) if before else 0)
    if before and before.recipe["size"] != asdict(recipe.size):
        raise UsageError(f"the network in {folder} is of another size", hint="name its --size")
    with meter("training", report) as show:
        for event in journal.kept(mini.train(recipe, folder), recipe, folder, before=before):
            _tell(event, show)


def _tell(event: Begun | Progress, show: Show) -> None:
    from diffucli.mini.recipe import Begun

    if isinstance(event, Begun):
        functions = sum(event.functions.values())
        show(0, f"{event.parameters / 1e6:.1f} M parameters · {functions} open functions · {event.device}")
        return
    rate = event.tokens / event.seconds if event.seconds else 0.0
    show(event.done, f"{event.stage} · loss {event.loss:.3f} · {event.tokens / 1e6:.2f} M tokens · {rate:.0f} tok/s")
