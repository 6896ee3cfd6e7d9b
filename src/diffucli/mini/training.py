"""A training session of mini in its folder: the first one, or another one that resumes from the weights there."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.mini import recipe as recipes
from diffucli.mini import training_log
from diffucli.mini.recipe import TrainingStarted, TrainingStep
from diffucli.units import format_rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffucli.mini.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train.

    minutes: training time, without data preparation. size: "small" or "large". device: auto, cpu, cuda, cuda:1.
    resume: whether the folder has weights to continue from.
    """

    minutes: float
    size: str
    device: str
    seed: int
    resume: bool

    def recipe(self, sessions: int) -> Recipe:
        """The recipe with these settings.

        sessions: number of sessions before this one. If there are any, the causal stage is left out, other data is
        drawn, and the learning rates are lower.
        """
        first = recipes.Recipe(recipes.SHAPES[self.size], minutes=self.minutes, device=self.device, seed=self.seed)
        if not sessions:
            return first
        return replace(first, causal=0.0, rate=2e-3, embed_rate=1.6e-3, seed=self.seed + sessions)


def begin(settings: TrainingSettings, folder: Path) -> Iterator[TrainingStarted | TrainingStep]:
    """The events of a training in `folder`, which has the log and the weights at the end.

    Raises UsageError if the folder has weights and they are not to be resumed from, or the other way round, if it
    cannot be made, or if its network has another size.
    """
    resumable = any(folder.glob("*.safetensors"))
    if resumable and not settings.resume:
        raise UsageError(f"{folder} has a checkpoint in it", hint="name another folder, or add --resume or --only-card")
    if settings.resume and not resumable:
        raise UsageError(f"{folder} has no weights to resume from", hint="leave --resume out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot make {folder}: {exc.strerror}", hint="name another folder") from exc
    before = training_log.read(folder) if resumable else None
    recipe = settings.recipe(len(before.sessions) if before else 0)
    if before and before.recipe["size"] != asdict(recipe.size):
        raise UsageError(f"the network in {folder} has another size", hint="give its --size")
    return training_log.logged(recipes.train(recipe, folder), recipe, folder, before=before)


def progress(event: TrainingStarted | TrainingStep) -> tuple[float, str]:
    """The share of the training that is done at `event`, and a line about it."""
    if isinstance(event, TrainingStarted):
        functions = sum(event.functions.values())
        return 0, f"{event.parameters / 1e6:.1f} M parameters · {functions} open functions · {event.device}"
    text = f"{event.stage} · loss {event.loss:.3f} · {event.tokens / 1e6:.2f} M tokens"
    rate = format_rate(event.tokens, event.seconds)
    return event.done, f"{text} · {rate}" if rate else text
