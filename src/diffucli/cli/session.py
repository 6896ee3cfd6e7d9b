"""A command's model: options become a loaded checkpoint and a policy, and tasks are run with it, live where wanted."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.cli.options import Choice, Live
    from diffucli.cli.report import Report
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded checkpoint and the policy to write by. load_seconds: of loading it. live, fps: how runs are shown."""

    entry: Entry
    checkpoint: Checkpoint
    policy: Policy
    load_seconds: float
    live: Live
    fps: float
    report: Report

    def run(self, task: Run[T], *, language: str) -> T:
        """Runs a task to its end, drawn on the terminal where that is wanted; its result. Raises NoRoom."""
        from diffucli.decode.loop import alone
        from diffucli.ui import View, pull, show, wants_live

        network = self.checkpoint.network
        before, events = network.trouble, alone(network, task)
        if self.report.quiet or self.report.json or not wants_live(sys.stderr, self.live, environ):
            result = pull(events)
        else:
            view = View(language, self.entry.folder.resolve().name)
            result = show(events, self.checkpoint.tokenizer.piece, view=view, fps=self.fps)
        if network.trouble != before:
            self.report.note(network.trouble)
        return result


def begin(choice: Choice, report: Report, *, live: Live, fps: float) -> Session:
    """The session for these options; the model is loaded when this returns. Raises ModelError, UsageError."""
    from diffucli.model import registry

    begun = time.perf_counter()
    entry = registry.find(choice.model)
    with _without_garbage_collection():
        from diffucli.model.load import load

        policy = choice.decoding().policy()
        checkpoint = load(entry.folder, device=choice.device, quant=choice.quant)
    if entry.embedded:
        report.notice(f"{entry.name} is a small demonstration model for common Python tasks; {registry.INVITATION}")
    return Session(entry, checkpoint, policy, time.perf_counter() - begun, live, fps, report)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """No garbage collection inside, which costs a fifth of all imports, nor later of what exists at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
