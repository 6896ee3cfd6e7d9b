"""`diffu train sft`: masked-diffusion fine-tuning on a user's own code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.report import Report
from diffucli.cli.train.options import Folder, Training

EXAMPLES = flag.examples(
    "diffu train sft --data code.jsonl -o run",
    "diffu train sft --data code.jsonl -o run --lora 16 --updates 500",
)
DATA_HELP = 'Examples, a JSON object a line: "prompt" and "completion", or "text" with "holes" or without.'
RATE, ADAPTER_RATE = 1e-4, 2e-4


@grouped
def sft(
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help=DATA_HELP)],
    output: Folder,
    training: Training,
    report: Report,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Examples of an update.")] = 16,
) -> None:
    """Train a model on your own code: tokens are masked, and the model learns to write them.

    A small model is trained whole, a large one by an adapter; docs/training.md has what it needs. Ctrl-C saves.
    """
    from diffucli.cli.progress import status
    from diffucli.cli.train import running
    from diffucli.train import session
    from diffucli.train.data import read_examples
    from diffucli.train.loop import Optimising
    from diffucli.train.plan import Load
    from diffucli.train.sft import Sft, SftSettings, longest_row
    from diffucli.train.state import hash_of

    examples = read_examples(data)
    of = running.trainee(training, output, report)
    longest = longest_row(examples, of.tokenizer, of.config)
    settings = SftSettings(batch, of.micro_batch, training.seed)
    rate = training.rate or (ADAPTER_RATE if of.rank else RATE)
    optimising = Optimising(training.updates, rate, largest_norm=1.0)
    about = running.about(of, **asdict(settings), **asdict(optimising), file=hash_of(data))
    with status(of.report, "auto") as show:
        load = Load(of.rank, of.micro_batch, longest, reference=False, recompute=of.recompute)
        trainer = running.trainer(of, training, load, optimising, show)
        updates = session.run(
            trainer,
            Sft(trainer, examples, settings),
            output,
            about,
            resume=training.resume,
            base=of.entry.name,
            every=training.save_every,
        )
        running.finish(updates, output, of=of, trainer=trainer, training=training, show=show)
