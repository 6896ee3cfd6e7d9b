"""A training in its folder: begun or resumed, its log, what it saves, and how Ctrl-C ends it.

The folder has log.jsonl, a line an update; state, to go on from; and model or adapter, which can be used at any time.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.errors import UsageError, WriteFailed
from diffucli.signals import asked_to_stop
from diffucli.train import state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from diffucli.train.loop import Method, Trainer, Updated

LOG, MODEL, ADAPTER = "log.jsonl", "model", "adapter"
FREE = frozenset({"updates"})  # settings that may change when a training is resumed


def require_folder(folder: Path, *, resume: bool, first: bool = True) -> None:
    """UsageError: `folder` has a training that is not to be resumed, or none although one is, or cannot be made.

    first: this process makes it; the others only read.
    """
    if not first:
        return
    if state.exists(folder) and not resume:
        raise UsageError(f"{folder} has a training in it", hint="name another folder, or add --resume")
    if resume and not state.exists(folder):
        raise UsageError(f"{folder} has no training to resume", hint="leave --resume out")
    if (folder / LOG).exists() and not resume:
        raise UsageError(f"{folder} has a {LOG} of another training", hint="name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot make {folder}: {exc.strerror}", hint="name another folder") from exc


def run(
    trainer: Trainer, method: Method, folder: Path, settings: Mapping[str, Any], *, resume: bool, base: str, every: int
) -> Iterator[Updated]:
    """Trains, logs and saves after `every` updates; the updates as they are made. base: the name of the checkpoint.

    Ctrl-C ends it after the batch at hand, when it has been saved: `loop.Interrupted`.
    """
    is_main = trainer.accelerator.is_main_process
    if resume:
        state.restore(trainer, folder, settings, FREE)
    if is_main:
        with _as_write_failed(folder):
            _cut(folder / LOG, trainer.position.updates)

    def save() -> None:
        trainer.accelerator.wait_for_everyone()
        if is_main:
            with _as_write_failed(folder):
                trainer.weights.write(result(trainer, folder), base=base)
                state.save(trainer, folder, settings)
        trainer.accelerator.wait_for_everyone()

    with asked_to_stop() as stopping:
        for updated in trainer.train(method, save=save, every=every, stopping=stopping):
            if is_main:
                with _as_write_failed(folder), (folder / LOG).open("a", encoding="utf-8") as log:
                    log.write(f"{json.dumps(line_of(updated))}\n")
            yield updated


def result(trainer: Trainer, folder: Path) -> Path:
    """Where the outcome is: a checkpoint, or an adapter."""
    return folder / (ADAPTER if trainer.weights.rank else MODEL)


def line_of(updated: Updated) -> dict[str, float]:
    """The line of an update in the log."""
    figures = {key: float(f"{value:.6g}") for key, value in updated.figures.items()}
    return {"update": updated.update, "batch": updated.batch, **figures, "seconds": round(updated.seconds, 3)}


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of the log in `folder`. UsageError: there is none, or it is damaged."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
        return [files.parse_json(line) for line in lines]
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"{folder / LOG} cannot be read: {files.reason(exc)}", hint="name a folder of a training"
        ) from exc


def _cut(log: Path, updates: int) -> None:
    """Takes away the lines of updates that are made again, and what is no line of a log."""
    if log.exists():
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join(line for line in lines if _update_of(line) <= updates))


def _update_of(line: bytes) -> float:
    """The update that a line of a log is of; infinity for what was not written to its end, or is damaged."""
    try:
        return float(files.parse_json(line)["update"]) if line.endswith(b"\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


@contextmanager
def _as_write_failed(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise WriteFailed(f"cannot write to {folder}: {exc.strerror or exc}", hint="make room, then --resume") from exc
