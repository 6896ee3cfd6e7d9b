"""What a training needs before its first update, and how its updates are shown, until the end or Ctrl-C."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from diffucli.cli.report import Report
    from diffucli.cli.train.options import Training
    from diffucli.model.config import Config
    from diffucli.model.registry import Entry
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.train.loop import Optimising, Processes, Trainer, Updated
    from diffucli.train.plan import Load

SHOWN = {  # figure → (its name in the line of an update, its form)
    "reward": ("reward", "{:.3f}"),
    "deviation": ("±", "{:.2f}"),
    "loss": ("loss", "{:.4f}"),
    "kl": ("kl", "{:.4f}"),
    "clipped": ("clipped", "{:.1%}"),
    "gradient_norm": ("gradient", "{:.3f}"),
}
CURVES = ("reward", "loss", "kl", "clipped", "gradient_norm")
LARGE_RANK, ROWS = 16, 8


@dataclass(frozen=True, slots=True)
class Trainee:
    """The model that is to be trained, before it is loaded. rank: of the adapter; 0: all weights."""

    accelerator: Processes
    entry: Entry
    config: Config
    tokenizer: Tokenizer
    device: str
    rank: int
    micro_batch: int
    recompute: bool
    report: Report


def trainee(training: Training, folder: Path, report: Report) -> Trainee:
    """What the options say, with the model's own defaults. Raises UsageError, ModelError."""
    from diffucli.lab.chart import require_matplotlib
    from diffucli.model import registry
    from diffucli.model.load import check, find_device
    from diffucli.train.loop import accelerator_for
    from diffucli.train.session import require_folder

    if training.picture:
        require_matplotlib("leave it out with --no-picture")
    find_device(training.device)
    entry = registry.find(training.model)
    config, family, tokenizer = check(entry.folder)
    if family.block is not None:
        raise UsageError(
            f"{entry.name} attends block by block, which is not trained here", hint="use a model with full attention"
        )
    accelerator = accelerator_for(training.device)
    require_folder(folder, resume=training.resume, first=accelerator.is_main_process)
    accelerator.wait_for_everyone()
    return Trainee(
        accelerator,
        entry,
        config,
        tokenizer,
        device=str(accelerator.device) if training.device == "auto" else training.device,
        rank=training.lora if training.lora is not None else LARGE_RANK * config.is_large,
        micro_batch=training.micro_batch or (1 if config.is_large else ROWS),
        recompute=config.is_large if training.recompute is None else training.recompute,
        report=report if accelerator.is_main_process else replace(report, quiet=True, json=False),
    )


def trainer(
    of: Trainee, training: Training, load: Load, optimising: Optimising, show: Callable[[str], None]
) -> Trainer:
    """The loaded model with its optimiser. NoRoom: there is too little memory, which is found before it is loaded."""
    from diffucli.model import memory
    from diffucli.model.load import load as load_checkpoint
    from diffucli.train.loop import Trainer
    from diffucli.train.plan import require_room
    from diffucli.train.scoring import recompute_layers
    from diffucli.train.weights import TrainedWeights

    quant = memory.choose(of.config, quant=training.quant, device=of.device).quant if of.rank else "none"
    if training.quant == "nf4" and not of.rank:
        raise UsageError("weights in four bits cannot be trained", hint="add --lora 16, or leave --quant nf4 out")
    plan = require_room(of.config, load, quant=quant, device=of.device)
    of.report.note(f"memory: {', '.join(plan.lines())}")
    name = Path(of.entry.folder).name
    checkpoint = load_checkpoint(
        of.entry.folder,
        device=of.device,
        quant=quant,
        trained=True,
        tell=lambda stage: show(f"loading {name}: {stage} …"),
    )
    show("")
    if of.recompute:
        recompute_layers(checkpoint.network)
    weights = TrainedWeights(checkpoint, rank=of.rank, with_reference=load.reference)
    count = sum(parameter.numel() for parameter in weights.parameters)
    of.report.say(f"{of.entry.name} on {of.device} · {count / 1e6:.1f} M trained numbers")
    return Trainer(of.accelerator, weights, optimising)


def finish(
    updates: Iterator[Updated],
    folder: Path,
    *,
    of: Trainee,
    trainer: Trainer,
    training: Training,
    show: Callable[[str], None],
) -> None:
    """Shows the updates, a line each; at the end draws the curves and says where the outcome is.

    Ctrl-C: KeyboardInterrupt, when what was done is saved.
    """
    from diffucli.train.loop import BARREN, Interrupted

    report, last, total = of.report, None, trainer.optimising.updates
    try:
        for last in updates:
            show("")
            report.say(line(last, total))
    except Interrupted as stop:
        show("")
        report.say(f"{stop.message}; {stop.hint}")
        raise KeyboardInterrupt from None
    show("")
    if (done := trainer.position.updates) < total:
        rest = f"in {BARREN} batches all completions of a task had equal rewards, so there is nothing left to learn"
        report.say(f"ended after {done} of {total} updates: {rest}")
    if of.accelerator.is_main_process:
        outcome = folder / ("adapter" if of.rank else "model")
        drawn = draw_curves(folder) if training.picture else []
        if report.json:
            figures = {} if last is None else dict(last.figures)
            report.object("diffu.train/1", 0, folder=str(folder), outcome=str(outcome), updates=done, last=figures)
        use = f"--adapter {outcome}" if of.rank else f"-m {outcome}"
        report.say(f"wrote {outcome}{' and the curves' * bool(drawn)}; diffu gen {use} uses it")
    of.accelerator.end_training()


def line(updated: Updated, total: int) -> str:
    """An update in one line."""
    parts = [f"update {updated.update} of {total}"]
    for key, (name, form) in SHOWN.items():
        if key in updated.figures:
            text = f"{name} {form.format(updated.figures[key])}"
            parts[-1:] = [f"{parts[-1]} {text}"] if key == "deviation" else [parts[-1], text]
    return " · ".join([*parts, f"{updated.seconds:.1f} s"])


def draw_curves(folder: Path) -> list[Path]:
    """Draws the figures of the log in `folder`, a file each; these."""
    from diffucli.lab.chart import chart
    from diffucli.train.session import read_log

    lines, drawn = read_log(folder), []
    for key in CURVES:
        points = [(each["update"], each[key]) for each in lines if key in each]
        if points:
            drawn.append(folder / f"{key.replace('_', '-')}.svg")
            with chart(drawn[-1], x="update", y=key.replace("_", " "), height=3.0) as axes:
                axes.plot(*zip(*points, strict=True))
    return drawn


def about(of: Trainee, **values: Any) -> Mapping[str, Any]:
    """The settings of a training, by which it is known when it is resumed."""
    from diffucli.train.state import fingerprint

    return {"model": of.entry.name, "weights": fingerprint(of.entry.folder), "rank": of.rank, **values}
