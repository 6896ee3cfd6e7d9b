"""The journal of a training: what it was, what it saw and how the loss went, kept beside the weights.

Knows nothing of networks: it folds the recipe's events into one value.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from diffucli.errors import UsageError
from diffucli.machine import Machine, this_machine
from diffucli.mini.recipe import Begun, Progress, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

NAME, SCHEMA = "training-log.json", "diffu.training/1"
POINTS = 400  # of the loss curve, evenly over the time
WRITTEN = 60.0  # seconds between two writings


@dataclass(frozen=True, slots=True)
class Package:
    """Open code that was trained on: `functions` of one package."""

    name: str
    version: str
    licence: str
    functions: int


@dataclass(frozen=True, slots=True)
class Point:
    """The mean loss, nats a token, since the point before; seconds and tokens since the begin."""

    seconds: float
    tokens: int
    stage: str
    loss: float


@dataclass(frozen=True, slots=True)
class Log:
    """A training. rows: by source; programs: distinct ones of compositions; seconds: of the training alone.

    goes: the minutes of each, where the training was gone on with; recipe: of the last.
    note: what the recipe does not say of this training, as whole sentences.
    """

    recipe: Mapping[str, Any]
    machine: Machine
    packages: tuple[Package, ...]
    parameters: int
    steps: int
    tokens: int
    seconds: float
    rows: Mapping[str, int]
    programs: int
    points: tuple[Point, ...]
    goes: tuple[float, ...]
    note: str = ""


def kept(
    events: Iterable[Begun | Progress], recipe: Recipe, folder: Path, *, before: Log | None = None
) -> Iterator[Begun | Progress]:
    """Passes every event on and keeps the journal in `folder`, to the last event even if the training is cut off.

    before: the journal of the training that this one goes on with.
    """
    journal, written = _Journal(recipe, before), 0.0
    try:
        for event in events:
            journal.take(event)
            if isinstance(event, Progress) and event.seconds - written > WRITTEN:
                journal.write(folder)
                written = event.seconds
            yield event
    finally:
        journal.write(folder)


def joined(first: Log, second: Log) -> Log:
    """Both as one training. programs: the larger number, since what both saw is not known."""
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
        points=(*first.points, *later),
        goes=(*first.goes, *second.goes),
        note=" ".join(note for note in (first.note, second.note) if note),
    )


def write(log: Log, folder: Path) -> None:
    """Writes the journal into `folder`."""
    values = {"schema": SCHEMA, **asdict(log), "points": [list(asdict(point).values()) for point in log.points]}
    (folder / NAME).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Log:
    """The journal in `folder`. Raises UsageError where there is none."""
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
        parts = {
            "machine": Machine(**values["machine"]),
            "packages": tuple(Package(**each) for each in values["packages"]),
            "points": tuple(Point(*each) for each in values["points"]),
            "goes": tuple(values["goes"]),
        }
        return Log(**{key: value for key, value in values.items() if key != "schema"} | parts)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise UsageError(
            f"{folder} holds no journal of a training", hint=f"name a folder made by diffu train, with its {NAME}"
        ) from exc


def package(name: str, functions: int) -> Package:
    """A package by the name it is imported by, as its own metadata describes it where it has any."""
    if name == "stdlib":
        return Package("Python's standard library", platform.python_version(), "PSF-2.0", functions)
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Package(name, "", "unknown", functions)
    classifiers: list[str] = about.get_all("Classifier", [])
    said: list[str] = about.get_all("License-Expression", [])
    classified = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License")]
    return Package(about["Name"], about["Version"], " or ".join(said or classified) or "unknown", functions)


@dataclass(slots=True)
class _Journal:
    recipe: Recipe
    before: Log | None = None
    begun: Begun | None = None
    last: Progress | None = None
    points: list[Point] = field(default_factory=list)
    since: list[Progress] = field(default_factory=list)

    def take(self, event: Begun | Progress) -> None:
        if isinstance(event, Begun):
            self.begun = event
            return
        if self.last and event.stage != self.last.stage:
            self._point()
        self.last = event
        self.since.append(event)
        if event.seconds - self.since[0].seconds > self.recipe.minutes * 60 / POINTS:
            self._point()

    def _point(self) -> None:
        if self.since:
            last, loss = self.since[-1], sum(each.loss for each in self.since) / len(self.since)
            self.points.append(Point(round(last.seconds, 2), last.tokens, last.stage, round(loss, 4)))
            self.since.clear()

    def write(self, folder: Path) -> None:
        if self.begun is None or self.last is None:
            return
        log = Log(
            recipe=asdict(self.recipe),
            machine=this_machine(self.begun.device),
            packages=tuple(package(name, count) for name, count in self.begun.functions.items()),
            parameters=self.begun.parameters,
            steps=self.last.steps,
            tokens=self.last.tokens,
            seconds=round(self.last.seconds, 2),
            rows=self.last.rows,
            programs=self.last.programs,
            points=tuple(self.points),
            goes=(round(self.last.seconds / 60, 1),),
        )
        write(joined(self.before, log) if self.before else log, folder)
