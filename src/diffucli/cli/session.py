"""A command's model: options become a loaded checkpoint and a policy, and tasks are run with it, live where wanted."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, TypeVar

from diffucli import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.cli.options import Choice, Live
    from diffucli.cli.report import Report
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry
    from diffucli.syntax.languages import Language

T = TypeVar("T")
DAY = 86_400.0  # seconds


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

    def tell_limits(self, language: Language, words: str, contexts: Sequence[str] = ()) -> None:
        """Says what is asked for that the model was not trained for: a request with texts to be read with it."""
        from diffucli.tasks.limits import exceeded

        tokenizer = self.checkpoint.tokenizer
        for limit in exceeded(self.entry.limits, tokenizer, language=language, words=words, contexts=contexts):
            self.report.warn(f"{self.entry.name} {limit}")

    def run(self, task: Run[T], *, language: str) -> T:
        """Runs a task to its end, drawn on the terminal where that is wanted; its result. Raises NoRoom."""
        from diffucli.decode.loop import alone
        from diffucli.ui import View, pull, show, wants_live

        network = self.checkpoint.network
        before, events = network.trouble, alone(network, task)
        if self.report.quiet or self.report.json or not wants_live(sys.stderr, self.live, environ):
            result = pull(events)
        else:
            view = View(language, files.real(self.entry.folder).name)
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
    if entry.limits.purpose and report.tells_notices and _is_due(f"{entry.name}-notice"):
        report.notice(f"{entry.name} is {entry.limits.purpose}; {registry.INVITATION}")
    return Session(entry, checkpoint, policy, time.perf_counter() - begun, live, fps, report)


def _is_due(name: str) -> bool:
    """Whether a notice was not told within a day, by the time of a file in the state folder, which is renewed."""
    from diffucli.edit.undo import default_root

    stamp = default_root().parent / name
    try:
        if 0 <= time.time() - stamp.stat().st_mtime < DAY:
            return False
    except OSError:
        pass
    with suppress(OSError):  # it is told again then
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return True


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """No garbage collection inside, which costs a fifth of all imports, nor later of what exists at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
