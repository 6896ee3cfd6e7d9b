"""`diffu undo`: put back what was there before a write."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.report import Report, say
from diffucli.errors import UsageError


def undo(
    entry: Annotated[str | None, typer.Argument(help="A write's id; the last one if none.", show_default=False)] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show past writes, newest first.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Write again what was undone.")] = False,
    as_json: flag.Json = False,
    quiet: flag.Quiet = False,
) -> None:
    """Restore a file to what it held before diffu wrote it; refuses if it changed since."""
    from diffucli.edit.store import Store, default_root

    if listing and (redo or entry):
        raise UsageError("--list goes alone", hint="leave out the id and --redo")
    store, report = Store(default_root()), Report(quiet=quiet, json=as_json)
    turned = store.entries() if listing else (store.redo(entry) if redo else store.undo(entry),)
    if as_json:
        values = [{"id": e.id, "time": e.time, "path": str(e.path), "undone": e.undone} for e in turned]
        report.object("diffu.undo/1", 0, entries=values)
    elif listing:
        for e in turned:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(e.time))
            print(f"{e.id}  {when}  {'undone  ' if e.undone else 'written '}  {e.path}")
    elif not quiet:
        say(f"{turned[0].id}: {'wrote' if redo else 'restored'} {turned[0].path}")
