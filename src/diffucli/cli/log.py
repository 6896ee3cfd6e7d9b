"""`diffu log`: the traces of past runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffucli import settings
from diffucli.cli import config, streams
from diffucli.cli import options as flag
from diffucli.cli.journal import log_store
from diffucli.cli.pull import confirmed
from diffucli.cli.report import Report, say, tell
from diffucli.errors import DiffuError, UsageError
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.trace.file import Trace
    from diffucli.trace.store import KeptTrace

app = typer.Typer(help="List, show and delete the traces that gen and fill keep of their runs.", no_args_is_help=True)
RUN_HELP = "Id of a run, as `diffu log list` shows it, `last`, or a trace file."
Run = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)]
Yes = Annotated[bool, typer.Option("-y", "--yes", metavar=flag.FLAG, help="Delete without being asked.")]
NO_LOG = "no-log"  # the setting
NEWEST = 20  # runs that are listed by default
WIDEST = 60  # characters of a request that are shown


@app.command("list", epilog=flag.examples("diffu log list", "diffu log list -n 100 --json"))
def listing(
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, max=10_000, help="Runs to list.")] = NEWEST,
    as_json: flag.Json = False,
) -> None:
    """List the last runs, the newest first: time, model, request, files and verdict."""
    rows = [_values(entry) for entry in log_store().entries()[:count]]
    if as_json:
        Report(json=True).object("diffu.log/1", 0, runs=rows)
        return
    for row in rows:
        tell(_row(row))


@app.command("show", epilog=flag.examples("diffu log show last", "diffu log show last --partial | diffu fill -"))
def show(
    run: Run = "last",
    partial: Annotated[
        bool, typer.Option("--partial", metavar=flag.FLAG, help="Print the last canvas, with ??? for its masks.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar=flag.FLAG, help="Print what --json of the run printed.")
    ] = False,
) -> None:
    """Print what a run wrote."""
    from diffucli.trace import file

    trace = file.load(log_store().find(run))
    if partial:
        if as_json:
            raise UsageError("--partial and --json exclude each other", hint="give one of them")
        streams.put("".join(file.with_holes(take.of(0), trace.reader) for take in trace.takes).encode())
    elif as_json:
        streams.put(_json(trace, run))
    else:
        streams.put("".join(texts_of(trace, run)).encode())


@app.command("rm", epilog=flag.examples("diffu log rm last", "diffu log rm --all -y"))
def rm(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Id of a run, or `last`.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", metavar=flag.FLAG, help="Delete all traces.")] = False,
    yes: Yes = False,
) -> None:
    """Delete the trace of a run, or all of them."""
    if (run is None) is not everything:
        raise UsageError("name a run, or give --all", hint="diffu log list shows the runs")
    store = log_store()
    if everything and not yes and not confirmed(f"Delete {len(store.entries())} traces?"):
        raise UsageError("the traces stay", hint="answer y, or add -y")
    _told(store.remove(run))


@app.command("prune", epilog=flag.examples("diffu log prune", "diffu log prune --keep 10"))
def prune(
    keep: Annotated[int | None, typer.Option("--keep", metavar="N", min=1, help="Traces to keep.")] = None,
) -> None:
    """Delete the oldest traces, down to the limits of the log or to --keep."""
    from dataclasses import replace

    store = log_store()
    _told((replace(store, max_traces=keep) if keep else store).prune())


@app.command("status", epilog=flag.examples("diffu log status", "diffu log status --json"))
def status(context: typer.Context, as_json: flag.Json = False) -> None:
    """Say whether runs are kept, where, and how much room they take."""
    store, on = log_store(), not config.in_force(context)[NO_LOG].value
    entries = store.entries()
    used = sum(entry.size for entry in entries)
    if as_json:
        limits = {"max_runs": store.max_traces, "max_bytes": store.max_bytes}
        Report(json=True).object(
            "diffu.log-status/1", 0, on=on, path=str(store.root), runs=len(entries), bytes=used, **limits
        )
        return
    tell(f"the log is {'on' if on else 'off'}: {store.root}")
    room = f"{format_bytes(used)} of {format_bytes(store.max_bytes)}"
    tell(f"{len(entries)} of at most {store.max_traces} traces, {room}")


@app.command("path", epilog=flag.examples("diffu log path", "diffu log path last"))
def path(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)] = None,
) -> None:
    """Print the folder of the log, or the file of a run."""
    tell(str(log_store().find(run) if run else log_store().root))


@app.command("on", epilog=flag.examples("diffu log on", "diffu log on && diffu log status"))
def turn_on() -> None:
    """Keep a trace of every run of gen and fill from now on, as at first."""
    _switch(on=True)


@app.command("off", epilog=flag.examples("diffu log off", "diffu log off && diffu log status"))
def turn_off() -> None:
    """Keep no traces from now on. Those that there are stay until `diffu log rm --all`."""
    _switch(on=False)


def texts_of(trace: Trace, run: str) -> list[str]:
    """The text of each file that a run wrote, or of its answer. UsageError: it came to none."""
    values = _ending(trace, run)
    found = [each.get("text") for each in values.get("files", [values])]
    if values.get("error") or not all(isinstance(text, str) for text in found):
        what = f"run {run} wrote nothing: {values.get('error', 'its text is not kept')}"
        raise UsageError(what, hint=f"diffu log show {run} --partial shows its canvas")
    return found


def _ending(trace: Trace, run: str) -> dict[str, Any]:
    if trace.ending is None:
        hint = f"diffu log show {run} --partial shows what there is of it"
        raise UsageError(f"run {run} was interrupted", hint=hint)
    return trace.ending


def _json(trace: Trace, run: str) -> bytes:
    from diffucli.trace.form import to_json

    return to_json(_ending(trace, run))


def _values(entry: KeptTrace) -> dict[str, Any]:
    """A run for the list. One that cannot be read has its id and size alone."""
    from diffucli.trace import file

    values: dict[str, Any] = {"id": entry.id, "bytes": entry.size}
    try:
        trace = file.load(entry.path)
    except DiffuError as exc:
        return {**values, "time": None, "verdict": f"cannot be read: {exc.message}"}
    header, ending = trace.header, trace.ending or {}
    wrote = [each.get("file") for each in ending.get("files", [ending]) if each.get("undo")]
    values |= {key: header.get(key) for key in ("time", "command", "request", "model", "preset", "seed")}
    names = [take.job.file for take in trace.takes if take.job.file]
    return {**values, "files": names, "wrote": wrote, "verdict": _verdict(trace)}


def _verdict(trace: Trace) -> str:
    """How a run ended, in a few words."""
    ending = trace.ending
    if ending is None:
        return "interrupted"
    if "error" in ending:
        return str(ending["error"])
    parses = {each.get("parses") for each in ending.get("files", [ending])}
    return "parses" if parses == {True} else "does not parse" if False in parses else "not checked"


def _row(row: dict[str, Any]) -> str:
    if row["time"] is None:
        return f"{row['id']}  {row['verdict']}"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"]))
    request = " ".join((row["request"] or "").split())
    request = f'"{request[:WIDEST]}{"…" * (len(request) > WIDEST)}"' if request else ""
    what = " ".join(filter(None, [row["command"], *row["files"], request]))
    wrote = f" → {', '.join(row['wrote'])}" if row["wrote"] else ""
    return f"{row['id']}  {when}  {row['model']:12} {what}{wrote} · {row['verdict']}"


def _told(gone: list[KeptTrace]) -> None:
    count = len(gone)
    freed = format_bytes(sum(entry.size for entry in gone))
    say(f"{count} {'trace' if count == 1 else 'traces'} deleted: {freed} freed")


def _switch(*, on: bool) -> None:
    settings.store(NO_LOG, None if on else True)
    if sys.stderr.isatty():
        say(
            "runs are kept in the log from now on"
            if on
            else "no run is kept from now on; diffu log rm --all deletes the others"
        )
