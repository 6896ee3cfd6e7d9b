"""`diffu train mini`: trains the embedded model, from its data to its model card."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report

EXAMPLES = flag.examples(
    "diffu train mini -o new-mini --minutes 30",
    "diffu train mini -o new-mini --minutes 30 --resume",
)
of_card = partial(typer.Option, rich_help_panel="Model card")
MINUTES_HELP = "Training time, without the time for preparing data."
SIZE_HELP = "Size of the network: small has 4.7 M parameters, large is for a GPU."
CARD_HELP = "File of the model card. (default: mini.md in the checkpoint folder)"


@dataclass(frozen=True, slots=True)
class MiniTraining:
    """How to train mini."""

    minutes: Annotated[
        float, typer.Option("--minutes", metavar="N", min=0.1, max=1e6, callback=flag.number, help=MINUTES_HELP)
    ] = 120.0
    size: Annotated[Literal["small", "large"], typer.Option("--size", help=SIZE_HELP)] = "small"
    device: flag.Device = "auto"
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the data and the weights.")] = 0
    resume: Annotated[
        bool, typer.Option("--resume", metavar=flag.FLAG, help="Continue from the weights in the folder.")
    ] = False


@grouped
def mini(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Write the checkpoint here.")],
    training: MiniTraining,
    report: Report,
    card: Annotated[Path | None, of_card("--card", metavar="FILE", help=CARD_HELP)] = None,
    picture: Annotated[bool, of_card("--picture/--no-picture", help="Draw the loss; needs matplotlib.")] = True,
    only_card: Annotated[
        bool, of_card("--only-card", metavar=flag.FLAG, help="Do not train; evaluate and write the card only.")
    ] = False,
    unconfined: flag.Unconfined = False,
    limit: Annotated[
        int | None, of_card("--limit", metavar="N", min=1, help="Most problems of a group. (default: all)")
    ] = None,
) -> None:
    """Train the embedded model: data, vocabulary, training, evaluation and model card."""
    from diffucli.cli.evaluate import watched
    from diffucli.eval.card import make
    from diffucli.lab.chart import require_matplotlib
    from diffucli.mini import training as trainings
    from diffucli.sandbox import Confinement, strongest

    if picture:
        require_matplotlib("leave it out with --no-picture")
    confinement: Confinement = "none" if unconfined else strongest()
    if not only_card:
        settings = trainings.TrainingSettings(
            training.minutes, training.size, training.device, training.seed, training.resume
        )
        events = trainings.begin(settings, output)
        with meter("training", report) as show:
            for event in events:
                show(*trainings.progress(event))
    card = card or output / "mini.md"
    make(output, card, confinement=confinement, watch=partial(watched, report=report), limit=limit, picture=picture)
    if report.json:
        report.object("diffu.train/1", 0, folder=str(output), card=str(card))
    report.say(f"wrote the checkpoint {output} and its card {card}")
