"""`diffu bench`: the one place where speed is measured."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.bench_flags import Asked, Subject
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from diffucli.bench.speed import Work
    from diffucli.bench.tables import Found, Row
    from diffucli.cli.progress import Show
    from diffucli.eval.evaluate import Writer
    from diffucli.eval.problems import CodeProblem
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """What every writer is to do: requests to be timed, and problems to be solved."""

    work: Work
    problems: Sequence[CodeProblem]


@grouped
def bench(context: typer.Context, subject: Subject, asked: Asked, as_json: flag.Json = False) -> None:
    """Measure how fast a model writes here: tokens a forward, time a step, tokens a second, memory, by preset.

    --against adds what it is held against, --quality how many problems are solved, --profile where the time goes.
    --fill, --start and --random measure something else: filling a region of a file, starting the command, and the parts
    of a step on random weights in the shape of a large checkpoint.
    """
    named = context.get_parameter_source("model")
    asked.require(model=named is not None and named.name == "COMMANDLINE")
    from diffucli.bench.tables import about, listed
    from diffucli.model import registry
    from diffucli.model.load import find_device, load

    report, device, load_seconds = Report(json=as_json), find_device(subject.device), None
    if asked.random:
        found, name = _steps(subject, asked, device, report), "random weights"
    elif asked.start:
        entry = registry.find(subject.model)
        found, name = _starts(subject, entry), entry.name
    else:
        entry = registry.find(subject.model)
        name = entry.name
        task = Task(asked.work(subject.rounds), asked.problems())
        begun = perf_counter()
        checkpoint = load(entry.folder, device=subject.device, quant=subject.quant.value)
        load_seconds = perf_counter() - begun
        with meter("measuring", report) as show:
            found = (
                _fills(entry, checkpoint, asked, rounds=subject.rounds, show=show)
                if asked.fill
                else _answers(checkpoint, asked, task, show)
            )
    subjects = about(name, device, load_seconds=load_seconds)
    if as_json:
        report.object("diffu.bench/1", 0, **subjects, **found.values)
    else:
        streams.put(f"{listed(subjects)}\n\n{found.text}\n".encode())


def _steps(subject: Subject, asked: Asked, device: torch.device, report: Report) -> Found:
    """Raises NoRoom where the shape does not fit."""
    from diffucli.bench import shape
    from diffucli.bench.tables import steps
    from diffucli.model import memory
    from diffucli.model.random_weights import random_network

    chosen = memory.choose(asked.settings, quant=subject.quant.value, device=str(device))
    network = random_network(asked.settings, chosen)
    parts = list(shape.steps(network, rounds=max(subject.rounds, 3)))
    if network.trouble:
        report.warn(network.trouble)
    return steps(parts, asked.settings, chosen)


def _starts(subject: Subject, entry: Entry) -> Found:
    from diffucli.bench import startup
    from diffucli.bench.tables import starts

    model = startup.Model(str(entry.folder), subject.device, subject.quant.value)
    return starts(startup.measure(model, rounds=subject.rounds))


def _fills(entry: Entry, checkpoint: Checkpoint, asked: Asked, *, rounds: int, show: Show) -> Found:
    from diffucli.bench import tables
    from diffucli.bench.growth import measure
    from diffucli.cli import bench_fill

    room = bench_fill.window(checkpoint)
    todo = _told(bench_fill.fills(entry, checkpoint, asked.policies, room=room), show)
    return tables.fills([measure(name, fill, rounds=rounds) for name, fill in todo], room)


def _answers(checkpoint: Checkpoint, asked: Asked, task: Task, show: Show) -> Found:
    from diffucli.bench import tables
    from diffucli.bench.shares import shares
    from diffucli.bench.writers import writers
    from diffucli.tasks.engine import Engine

    against = [name.value for name in asked.against or ()]
    contenders = writers(checkpoint, asked.policies, against)
    rows = _rows(contenders, task, show)
    ours = {name: writer for name, writer in contenders.items() if isinstance(writer, Engine)}
    split = list(shares(ours, task.work)) if asked.profile else []
    if asked.plot:
        tables.plot(rows, asked.plot)
    return tables.answers(rows, yardsticks=against, split=split, full=asked.full)


def _rows(writers: Mapping[str, Writer], task: Task, show: Show) -> list[Row]:
    from diffucli.bench.quality import Quality, verdicts
    from diffucli.bench.speed import measure
    from diffucli.bench.tables import Row

    share = 0.5 if task.problems else 1.0  # of what there is to do
    speeds = measure(writers, task.work, show=lambda done: show(share * done, "requests"))
    if not task.problems:
        return [Row(speed, None) for speed in speeds]
    told = _told(writers, lambda done, words: show(share + share * done, words))
    passed = [tuple(verdicts(each, task.problems, length=task.work.length)) for _, each in told]
    return [Row(speed, Quality(found)) for speed, found in zip(speeds, passed, strict=True)]


def _told(items: Mapping[str, T], show: Show) -> Iterator[tuple[str, T]]:
    """Each of `items` with its name, told of when the next one is asked for."""
    for count, (name, item) in enumerate(items.items(), start=1):
        yield name, item
        show(count / len(items), f"{name} · {count} of {len(items)}")
