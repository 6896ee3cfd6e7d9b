"""`diffu model pull`, `use` and `rm`: checkpoints come, are chosen, and go."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli.groups import grouped
from diffucli.cli.options import Quant
from diffucli.cli.progress import meter
from diffucli.cli.report import Report, say
from diffucli.errors import UsageError
from diffucli.units import format_bytes, format_progress

if TYPE_CHECKING:
    from diffucli.model.pull import Offer
    from diffucli.units import JobProgress

WAITING = "another pull of the same model is at work"
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask; for pull: the licence is accepted.")]


@grouped
def pull(
    name: Annotated[str, typer.Argument(help="An alias (diffucoder), a repository (org/name), or a folder.")],
    report: Report = Report(),  # noqa: B008 — a group of flags
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch, tag or commit; else the newest.")
    ] = None,
    quant: Annotated[
        Quant, typer.Option("--quant", help="Pack into four bits (nf4), not (none), or where it pays (auto).")
    ] = Quant.auto,
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Keep the files as published beside the packed ones.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Fetch a checkpoint and pack it into four bits. A pull that was cut goes on where it stopped."""
    from diffucli.model import registry, store
    from diffucli.model.pull import is_done, offer
    from diffucli.model.pull import pull as pulling

    offered = offer(name, revision=revision)
    done = is_done(offered, quant=quant.value, keep_original=keep_original)
    for file in offered.files:
        report.note(f"{file.name}  {format_bytes(file.size)}")
    if not done:
        _consent(offered, report, yes=yes)
        if 0 < offered.present < offered.total:
            _note(report, f"resuming at {format_progress(offered.present, offered.total)}")
        show_progress(pulling(offered, quant=quant.value, keep_original=keep_original), report)
    entry = registry.find(offered.origin.name)
    size = store.size(entry.folder)
    if report.json:
        assert entry.record is not None
        values = {"name": entry.name, "folder": str(entry.folder), "revision": entry.record.revision, "size": size}
        report.object("diffu.pulled/1", 0, fetched=not done, licence=entry.record.licence, **values)
        return
    state = "is here already" if done else "is here"
    _note(
        report,
        f"{entry.name} {state}: {format_bytes(size)} in {entry.folder}; "
        f"diffu model use {entry.name} makes it the default",
    )


@grouped
def use(
    name: Annotated[str, typer.Argument(help="A pulled model, a checkpoint folder, or mini to take it back.")],
    report: Report = Report(),  # noqa: B008 — a group of flags
) -> None:
    """Choose the model that runs when none is named."""
    from diffucli.model import registry

    entry = registry.use(name)
    report.note(f"stored in {registry.settings_path()}")
    if report.json:
        report.object("diffu.used/1", 0, name=entry.name, folder=str(entry.folder))
    else:
        _note(report, f"{entry.name} runs from now on when no model is named")


@grouped
def rm(
    name: Annotated[str, typer.Argument(help="A pulled model.")],
    report: Report = Report(),  # noqa: B008 — a group of flags
    yes: Yes = False,
) -> None:
    """Delete a pulled model, whole or half done."""
    from diffucli.model import registry, store
    from diffucli.model.registry import MINI, short_name

    if not yes and short_name(name) != MINI and (folders := store.leftovers(short_name(name))):
        taken = format_bytes(sum(map(store.size, folders)))
        if not _confirmed(f"Delete {short_name(name)} ({taken})?"):
            raise UsageError(f"{name} stays", hint="answer y, or add -y")
    for folder in store.leftovers(short_name(name)):
        report.note(f"deleting {folder}")
    freed = registry.remove(name)
    if report.json:
        report.object("diffu.removed/1", 0, name=short_name(name), freed=freed)
    else:
        _note(report, f"{short_name(name)} is deleted: {format_bytes(freed)} freed")


def _note(report: Report, text: str) -> None:
    """For everybody but the quiet."""
    if not report.quiet and not report.json:
        say(text)


def _consent(offered: Offer, report: Report, *, yes: bool) -> None:
    """Shows the licence and asks. UsageError: it was not accepted, or nobody is there to ask."""
    listing = offered.listing
    if offered.origin.folder is not None:
        return
    licence = f"{listing.licence or 'none stated'}, {listing.licence_link}"
    _note(report, f"{listing.repository} at {listing.commit[:12]}, {format_bytes(offered.total)} · licence: {licence}")
    if not yes and not _confirmed(f"Do you accept the licence of {listing.repository} ({licence})?"):
        raise UsageError("the licence was not accepted, so nothing was fetched", hint="answer y, or add -y")


def _confirmed(question: str) -> bool:
    """A yes on the terminal. UsageError where there is none to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask", hint="add -y for yes")
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as exc:
        raise KeyboardInterrupt from exc


def show_progress(steps: Iterable[JobProgress], report: Report) -> None:
    """Runs a pull to its end and shows its progress, stage by stage."""
    last = None
    try:
        for (stage, total), group in groupby(steps, key=lambda step: (step.stage, step.total)):
            with meter(stage, report, total=total, rate=_rate) as show:
                for last in group:
                    show(last.done, format_progress(last.done, total) if total else WAITING)
    except KeyboardInterrupt:
        if last and last.total:
            where = f"{last.stage} at {format_progress(last.done, last.total)}"
            _note(report, f"stopped {where}; the same command goes on from there")
        raise


def _rate(speed: float) -> str:
    return f"{format_bytes(int(speed))}/s"
