"""`diffu model pull`: fetches a checkpoint, once its licence is accepted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffucli.cli import complete
from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.options import Quant
from diffucli.cli.progress import show_progress
from diffucli.cli.report import Report, shown
from diffucli.errors import UsageError
from diffucli.units import format_bytes, format_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.model.offer import Offer
    from diffucli.model.registry import Entry
    from diffucli.units import JobProgress

EXAMPLES = flag.examples(
    "diffu model pull diffucoder",
    "diffu model pull org/name --revision v1.0 --quant nf4 -y",
)
REVISION_HELP = "Branch, tag or commit of the repository. (default: the newest)"
ADAPTER_HELP = "Repository of a LoRA adapter for the model, which is fetched too; gen and fill --adapter run it."
QUANT_HELP = "Pack the weights into four bits (nf4), leave them as they are (none), or pack large models only (auto)."
KEEP_HELP = "Keep the published files too after packing."


@grouped
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=complete.aliases,
            help="Alias (diffucoder), repository (org/name or its address, also with @revision) or checkpoint folder.",
        ),
    ],
    report: Report = Report(),  # noqa: B008 — a group of flags
    adapter: Annotated[str | None, typer.Option("--adapter", metavar="NAME", help=ADAPTER_HELP)] = None,
    revision: Annotated[str | None, typer.Option("--revision", metavar="NAME", help=REVISION_HELP)] = None,
    quant: Annotated[Quant, typer.Option("--quant", help=QUANT_HELP)] = "auto",
    keep_original: Annotated[bool, typer.Option("--keep-original", metavar=flag.FLAG, help=KEEP_HELP)] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", metavar=flag.FLAG, help="Accept the licence without being asked.")
    ] = False,
) -> None:
    """Fetch a checkpoint and pack it into four bits. An interrupted pull continues where it stopped."""
    from diffucli.model import registry
    from diffucli.model.names import origin
    from diffucli.model.offer import offer, offer_adapter
    from diffucli.model.pull import is_done
    from diffucli.model.pull import pull as pulling
    from diffucli.model.pull import pull_adapter as pulling_adapter

    origin(name)  # the hub is not asked for an adapter of what cannot be pulled
    beside = None if adapter is None else offer_adapter(adapter)
    offered = offer(name, revision=revision)
    done = is_done(offered, quant=quant, keep_original=keep_original)
    _bring(offered, pulling(offered, quant=quant, keep_original=keep_original), report, done=done, yes=yes)
    entry = registry.find(offered.origin.name)
    values = _values(entry, done=done)
    state = f"{entry.name} is here already" if done else f"{entry.name} is here"
    told = [f"{state}: {_place(entry)}; diffu model use {entry.name} makes it the default"]
    if beside:
        done = is_done(beside)
        _bring(beside, pulling_adapter(beside, entry.folder), report, done=done, yes=yes)
        found = registry.find_adapter(beside.origin.name)
        values["adapter"] = _values(found, done=done)
        told += [f"{found.name} is here: {_place(found)}; -m {entry.name} --adapter {found.name} runs it"]
    if report.json:
        report.object("diffu.pulled/1", 0, **values)
    for each in (offered, *([beside] if beside else [])):
        if each.unasked:
            report.say(f"whether there is a newer {each.origin.name} is not known: {each.unasked}")
    for line in told:
        report.say(line)


def _bring(offered: Offer, job: Iterator[JobProgress], report: Report, *, done: bool, yes: bool) -> None:
    """Pulls what is offered once its licence is accepted, unless that is done."""
    for file in offered.files:
        report.note(f"{file.name}  {format_bytes(file.size)}")
    if done:
        return
    _consent(offered, report, yes=yes)
    if 0 < offered.present < offered.total:
        report.say(f"resuming at {format_progress(offered.present, offered.total)}")
    show_progress(job, report)


def _values(entry: Entry, *, done: bool) -> dict[str, Any]:
    """What --json says of what was pulled."""
    from diffucli.model import store

    record = entry.record
    assert record is not None
    about = {"name": entry.name, "folder": str(entry.folder), "revision": record.revision}
    return {"fetched": not done, "licence": record.licence, **about, "size": store.size(entry.folder)}


def _place(entry: Entry) -> str:
    from diffucli.model import store

    return f"{format_bytes(store.size(entry.folder))} in {entry.folder}"


def _consent(offered: Offer, report: Report, *, yes: bool) -> None:
    """Shows the licence and asks. UsageError: it was not accepted, or nobody is there to ask."""
    listing = offered.listing
    if offered.origin.folder is not None:
        return
    licence = f"{listing.licence or 'none stated'}, {listing.licence_link}"
    size = format_bytes(offered.total)
    report.say(f"{listing.repository} at {listing.commit[:12]}, {size} · licence: {licence}")
    if not yes and not confirmed(f"Do you accept the licence of {listing.repository} ({licence})?"):
        raise UsageError("the licence was not accepted, so nothing was fetched", hint="answer y, or add -y")


def confirmed(question: str) -> bool:
    """A yes on the terminal. UsageError where there is none to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask", hint="add -y for yes")
    try:
        return typer.confirm(shown(question, sys.stderr.encoding), err=True)
    except typer.Abort as exc:
        raise KeyboardInterrupt from exc
