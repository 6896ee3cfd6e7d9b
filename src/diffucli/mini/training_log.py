"""The training log: what was trained, on what data, and the course of the loss; a file in the checkpoint folder.

Does not know networks: it is a fold over the events of the recipe.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING, Any

from diffucli.errors import UsageError
from diffucli.lab.machine import Machine, this_machine
from diffucli.mini.recipe import Recipe, TrainingStarted, TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

NAME, SCHEMA = "training-log.json", "diffu.training/1"
POINTS = 200  # most points of the loss curve, spread evenly over the time of a session
WRITE_SECONDS = 60.0  # between two writes of the file


@dataclass(frozen=True, slots=True)
class TrainedPackage:
    """A package of open code, and the number of its functions that were trained on."""

    name: str
    version: str
    licence: str
    functions: int


@dataclass(frozen=True, slots=True)
class LossPoint:
    """A point of the loss curve.

    seconds, tokens: since the beginning of the training. loss: mean since the point before, in nats per token.
    """

    seconds: float
    tokens: int
    stage: str
    loss: float


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """A training in one or more sessions, each of which resumed from the weights of the one before.

    recipe: of the last session. rows: number of rows by kind. programs: number of distinct programs of compositions.
    seconds: training time of all sessions, without data preparation. sessions: minutes of each session. note: whole
    sentences about what the recipe does not say.
    """

    recipe: Mapping[str, Any]
    machine: Machine
    packages: tuple[TrainedPackage, ...]
    parameters: int
    steps: int
    tokens: int
    seconds: float
    rows: Mapping[str, int]
    programs: int
    points: tuple[LossPoint, ...]
    sessions: tuple[float, ...]
    note: str = ""


def logged(
    events: Iterable[TrainingStarted | TrainingStep], recipe: Recipe, folder: Path, *, before: TrainingLog | None = None
) -> Iterator[TrainingStarted | TrainingStep]:
    """Yields every event and writes the log to `folder` now and then, at the end, and if training is interrupted.

    before: the log of the sessions before this one.
    """
    log, written = _Log(recipe, before), 0.0
    try:
        for event in events:
            log.take(event)
            if isinstance(event, TrainingStep) and event.seconds - written > WRITE_SECONDS:
                log.write(folder)
                written = event.seconds
            yield event
    finally:
        log.write(folder)


def concatenated(first: TrainingLog, second: TrainingLog) -> TrainingLog:
    """Both logs as one. `programs` is the larger number, because the overlap is unknown."""
    later = (
        replace(point, seconds=round(first.seconds + point.seconds, 2), tokens=first.tokens + point.tokens)
        for point in second.points
    )
    return replace(
        second,
        steps=first.steps + second.steps,
        tokens=first.tokens + second.tokens,
        seconds=round(first.seconds + second.seconds, 2),
        rows=dict(Counter(first.rows) + Counter(second.rows)),
        programs=max(first.programs, second.programs),
        points=thinned((*first.points, *later)),
        sessions=(*first.sessions, *second.sessions),
        note=" ".join(note for note in (first.note, second.note) if note),
    )


def thinned(points: Sequence[LossPoint], most: int = POINTS) -> tuple[LossPoint, ...]:
    """At most `most` points, or one for each change of stage if these are more: neighbours of a stage become one.

    A new point is at the end of those that it stands for and has their mean loss, weighted by tokens.
    """
    before = [0, *(point.tokens for point in points)]
    weighted = [(point, point.tokens - tokens) for point, tokens in zip(points, before, strict=False)]
    size = -(-len(points) // most)
    while True:
        runs = [list(run) for _, run in groupby(weighted, key=lambda each: each[0].stage)]
        groups = [run[i : i + size] for run in runs for i in range(0, len(run), size)]
        if len(groups) <= max(most, len(runs)):
            return tuple(map(_merged, groups))
        size += 1


def _merged(group: Sequence[tuple[LossPoint, int]]) -> LossPoint:
    """One point for several, each with its number of tokens."""
    if len(group) == 1:
        return group[0][0]
    total = sum(tokens for _, tokens in group)
    return replace(group[-1][0], loss=round(sum(point.loss * tokens for point, tokens in group) / max(total, 1), 4))


def write(log: TrainingLog, folder: Path) -> None:
    """Writes the log to `folder`."""
    values = {"schema": SCHEMA, **asdict(log)}
    values["points"] = [list(asdict(point).values()) for point in thinned(log.points)]
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    (folder / NAME).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(folder: Path) -> TrainingLog:
    """Reads the log in `folder`. Raises UsageError if there is no valid one."""
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
        sessions = values.pop("goes", None) or values["sessions"]  # "goes" is its name in older logs
        parts = {
            "machine": Machine(**values["machine"]),
            "packages": tuple(TrainedPackage(**each) for each in values["packages"]),
            "points": tuple(LossPoint(*each) for each in values["points"]),
            "sessions": tuple(sessions),
        }
        return TrainingLog(**{key: value for key, value in values.items() if key != "schema"} | parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UsageError(
            f"{folder} has no training log", hint=f"name a folder made by diffu train, with its {NAME}"
        ) from exc


def package(name: str, functions: int) -> TrainedPackage:
    """A package by its import name, with the version and licence of its metadata if it has any."""
    if name == "stdlib":
        return TrainedPackage("Python's standard library", platform.python_version(), "PSF-2.0", functions)
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return TrainedPackage(name, "", "unknown", functions)
    classifiers: list[str] = about.get_all("Classifier", [])
    expressions: list[str] = about.get_all("License-Expression", [])
    classified = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License")]
    licence = " or ".join(expressions or classified) or "unknown"
    return TrainedPackage(about["Name"], about["Version"], licence, functions)


@dataclass(slots=True)
class _Log:
    recipe: Recipe
    before: TrainingLog | None = None
    started: TrainingStarted | None = None
    last: TrainingStep | None = None
    points: list[LossPoint] = field(default_factory=list)
    since: list[TrainingStep] = field(default_factory=list)

    def take(self, event: TrainingStarted | TrainingStep) -> None:
        if isinstance(event, TrainingStarted):
            self.started = event
            return
        if self.last and event.stage != self.last.stage:
            self._end_point()
        self.last = event
        self.since.append(event)
        if event.seconds - self.since[0].seconds > self.recipe.minutes * 60 / POINTS:
            self._end_point()

    def _end_point(self) -> None:
        if self.since:
            last, loss = self.since[-1], sum(each.loss for each in self.since) / len(self.since)
            self.points.append(LossPoint(round(last.seconds, 2), last.tokens, last.stage, round(loss, 4)))
            self.since.clear()

    def write(self, folder: Path) -> None:
        if self.started is None or self.last is None:
            return
        log = TrainingLog(
            recipe=asdict(self.recipe),
            machine=this_machine(self.started.device),
            packages=tuple(package(name, count) for name, count in self.started.functions.items()),
            parameters=self.started.parameters,
            steps=self.last.steps,
            tokens=self.last.tokens,
            seconds=round(self.last.seconds, 2),
            rows=self.last.rows,
            programs=self.last.programs,
            points=tuple(self.points),
            sessions=(round(self.last.seconds / 60, 1),),
        )
        write(concatenated(self.before, log) if self.before else log, folder)
