"""`diffu undo`: restores what a file held before a write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.report import Report, tell
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.edit.undo import Write


EXAMPLES = flag.examples("diffu undo", "diffu undo --list")
LIST_HELP = "List past writes, the newest first."
ID_HELP = "Id of a write, as --list shows it. (default: the last write)"


def undo(
    entry: Annotated[str | None, typer.Argument(metavar="ID", help=ID_HELP, show_default=False)] = None,
    listing: Annotated[bool, typer.Option("--list", metavar=flag.FLAG, help=LIST_HELP)] = False,
    redo: Annotated[bool, typer.Option("--redo", metavar=flag.FLAG, help="Write again what was undone.")] = False,
    quiet: flag.Quiet = False,
    as_json: flag.Json = False,
) -> None:
    """Restore a file to what it held before diffu wrote it. A file that was changed since is left alone."""
    from diffucli.edit.undo import UndoStore, default_root

    if listing and (redo or entry):
        raise UsageError("--list goes alone", hint="leave out the id and --redo")
    store, report = UndoStore(default_root()), Report(quiet=quiet, json=as_json)
    found = store.writes() if listing else (store.redo(entry) if redo else store.undo(entry),)
    if as_json:
        values = [{"id": e.id, "time": e.time, "path": str(e.path), "undone": e.undone} for e in found]
        report.object("diffu.undo/1", 0, entries=values)
    elif listing:
        for one in found:
            tell(_row(one))
    else:
        report.say(_done(found[0]))


def _row(entry: Write) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.time))
    return f"{entry.id}  {when}  {'written' if entry.undone is None else 'undone':8} {entry.path}"


def _done(entry: Write) -> str:
    if entry.undone is None:
        return f"wrote {entry.path} again (undo with: diffu undo {entry.id})"
    what = "removed" if entry.before is None else "restored"
    return f"{what} {entry.path} (redo with: diffu undo {entry.id} --redo)"
