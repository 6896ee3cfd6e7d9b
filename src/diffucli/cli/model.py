"""`diffu model`: the checkpoints that can be run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffucli.cli import complete, pull, show
from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.report import Report, tell
from diffucli.errors import ModelError, UsageError
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.model.memory import Plan
    from diffucli.model.names import Known

app = typer.Typer(help="List, fetch, choose, inspect and delete models.", no_args_is_help=True)
app.command("pull", epilog=pull.EXAMPLES)(pull.pull)


@app.command("use", epilog=flag.examples("diffu model use diffucoder", "diffu model use mini"))
@grouped
def use(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Pulled model, checkpoint folder, or mini.", autocompletion=complete.models
        ),
    ],
    report: Report = Report(),  # noqa: B008 — a group of flags
) -> None:
    """Choose the model that runs when none is named. It is mini at first."""
    from diffucli import settings
    from diffucli.model import registry

    entry = registry.use(name)
    report.note(f"stored in {settings.user_path()}")
    if report.json:
        report.object("diffu.used/1", 0, name=entry.name, folder=str(entry.folder))
    report.say(f"{entry.name} runs from now on when no model is named")


@app.command("rm", epilog=flag.examples("diffu model rm diffucoder", "diffu model rm diffucoder -y"))
@grouped
def rm(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Pulled model.", autocompletion=complete.pulled)],
    report: Report = Report(),  # noqa: B008 — a group of flags
    yes: Annotated[bool, typer.Option("-y", "--yes", metavar=flag.FLAG, help="Delete without being asked.")] = False,
) -> None:
    """Delete a pulled model and all files that were fetched for it, also if the pull was interrupted.

    Of a folder that was moved elsewhere and linked back, the link is deleted; on a terminal you are asked for the rest.
    """
    from diffucli.model import registry, store
    from diffucli.model.names import MINI, short_name

    short = short_name(name)
    linked, folders = (None, []) if short == MINI else (store.linked_dir(short), store.leftovers(short))
    also = False
    if folders and not yes:
        taken = format_bytes(sum(store.size(folder) for folder in folders if not folder.is_symlink()))
        if not pull.confirmed(f"Delete {short} ({f'the link to {linked}' if linked else taken})?"):
            raise UsageError(f"{name} stays", hint="answer y, or add -y")
        also = linked is not None and pull.confirmed(f"Delete {linked} too ({format_bytes(store.size(linked))})?")
    for folder in folders:
        report.note(f"deleting {folder}")
    freed = registry.remove(name, linked=also)
    if report.json:
        report.object("diffu.removed/1", 0, name=short, freed=freed)
    report.say(f"{short} is deleted: {format_bytes(freed)} freed")
    if linked and not also:
        report.say(f"its files stay in {linked}")


ALL_HELP = (
    "List what can be pulled too: size, memory (large ones in four bits), licence, use, and whether it runs here."
)


@app.command("list", epilog=flag.examples("diffu model list", "diffu model list --all"))
def listing(
    every: Annotated[bool, typer.Option("-a", "--all", metavar=flag.FLAG, help=ALL_HELP)] = False,
    as_json: flag.Json = False,
) -> None:
    """List the models and adapters on this machine; a star marks the model that runs when none is named."""
    from diffucli.model import registry, store

    default, rows = None, []
    with suppress(ModelError):
        default = registry.default()
    for entry in registry.entries():
        facts = None
        with suppress(ModelError):  # a damaged checkpoint is no reason to hide the others
            facts = registry.facts(entry)
        figures = (facts.config.parameters, facts.bits, facts.size) if facts else (None, None, None)
        named = dict(zip(("parameters", "bits", "size"), figures, strict=True))
        rows.append({"name": entry.name, "default": entry == default, **named})
        if not as_json:
            count, size = (show.count(facts.config.parameters), format_bytes(facts.size)) if facts else ("", "")
            kind = f"{count:>7} parameters  {facts.bits:>2} bit  {size:>9}" if facts else "damaged or missing"
            where = "embedded" if entry.embedded else str(entry.folder)
            tell(f"{'*' if entry == default else ' '} {entry.name:20} {kind:37}  {where}")
    sizes = {entry.name: store.size(entry.folder) for entry in registry.adapters()}
    pullable = _pullable() if every else []
    if as_json:
        offered = {"pullable": pullable} if every else {}
        adapters = [{"name": name, "size": size} for name, size in sizes.items()]
        Report(json=True).object("diffu.models/1", 0, models=rows, adapters=adapters, **offered)
        return
    for adapter, taken in sizes.items():
        tell(f"  {adapter:20} an adapter, {format_bytes(taken)}; --adapter {adapter} runs it with its model")
    if every:
        tell("")
        tell(f"  {'can be pulled':20} {'to fetch':>8} {'memory':>8} {'context':>7}  {'licence':12} on this machine")
        for row in pullable:
            fetch, memory = format_bytes(row["fetch"]), format_bytes(row["memory"])
            tell(f"  {row['name']:20} {fetch:>8} {memory:>8} {row['context']:>7}  {row['licence']:12} {row['here']}")
            tell(f"  {'':20} {row['purpose']}")


def _pullable() -> list[dict[str, Any]]:
    """The known checkpoints that are not pulled. fetch, disk, memory: bytes. here: what this machine makes of it."""
    from diffucli.model import registry
    from diffucli.model.advice import planned
    from diffucli.model.load import find_device
    from diffucli.model.memory import packed_bytes
    from diffucli.model.names import KNOWN, PUBLISHED_BYTES

    device, pulled = str(find_device("auto")), {entry.name for entry in registry.entries()}
    rows = []
    for known in KNOWN:
        if known.name not in pulled:
            config, plan = known.config, planned(known, device)
            disk = packed_bytes(config, width=PUBLISHED_BYTES) if plan.quant == "nf4" else known.size
            told = {"name": known.name, "repository": known.repository, "purpose": known.purpose}
            figures = {"fetch": known.size, "disk": disk, "memory": plan.total, "context": config.context}
            runs = {"runs": plan.fits, "here": _verdict(known, plan)}
            rows.append(told | {"licence": known.licence} | figures | runs)
    return rows


def _verdict(known: Known, plan: Plan) -> str:
    """What this machine makes of a known checkpoint, in words."""
    from diffucli.doctor import speed

    if not plan.fits:
        return f"does not fit: {format_bytes(plan.free)} are free on {plan.device}"
    return f"fits; {speed(plan, known.config)}"


app.command("show", epilog=show.EXAMPLES)(show.show)


@app.command("path", epilog=flag.examples("diffu model path", "ls $(diffu model path diffucoder)"))
def path(name: flag.ModelArgument = None) -> None:
    """Print the folder of a model."""
    from diffucli.model import registry

    tell(str(registry.find(name).folder))
