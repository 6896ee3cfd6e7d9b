"""`diffu undo`: restores what files held before a command wrote them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.destination import undo_store
from diffucli.cli.pull import confirmed
from diffucli.cli.report import Report, tell
from diffucli.errors import DiffuError, UsageError
from diffucli.files import project_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.edit.undo import UndoStore
    from diffucli.edit.writes import FileWrite, Write


EXAMPLES = flag.examples("diffu undo app.py", "diffu undo --list")
LIST_HELP = "List past writes, the newest first."
WHAT_HELP = "Id of a write, as --list shows it, or a file. (default: the last write in this git repository or folder)"
FORCE_HELP = "Restore files that were changed or deleted since, too. This is a write that can be undone itself."
YES_HELP = "Delete files that diffu created without being asked."
SHOWN = {"written": "written", "undone": "undone", "torn": "in part"}


def undo(
    what: Annotated[str | None, typer.Argument(metavar="ID|FILE", help=WHAT_HELP, show_default=False)] = None,
    listing: Annotated[bool, typer.Option("--list", metavar=flag.FLAG, help=LIST_HELP)] = False,
    redo: Annotated[bool, typer.Option("--redo", metavar=flag.FLAG, help="Write again what was undone.")] = False,
    force: Annotated[bool, typer.Option("--force", metavar=flag.FLAG, help=FORCE_HELP)] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", metavar=flag.FLAG, help=YES_HELP)] = False,
    quiet: flag.Quiet = False,
    as_json: flag.Json = False,
) -> None:
    """Restore files to what they held before diffu wrote them: all files of one command, or the one that is named.

    A file that was changed since is left alone. A file that diffu created is deleted.
    """
    if listing and (redo or force or what is not None):
        raise UsageError("--list goes alone", hint="leave out the id, --redo and --force")
    report = Report(quiet=quiet, json=as_json)
    store = undo_store(report)
    if listing:
        rows = [(write, file) for write in store.writes() for file in write.files]
    else:
        below = project_root(Path.cwd())
        write, path = (store.last(below=below, redo=redo), None) if what is None else store.find(what, redo=redo)
        if force:
            _overwrite(store, write, path, report=report, redo=redo)
            return
        if not redo and not yes and not as_json:
            _require_consent(write, path)
        with _naming_another(store, write if what is None else None, below=below, redo=redo):
            write = (store.redo if redo else store.undo)(write, path)
        rows = [(write, file) for file in write.files if path in {None, file.path}]
    if as_json:
        report.object("diffu.undo/1", 0, entries=[_values(*row) for row in rows])
    for row in [] if as_json else rows:
        tell(_row(*row)) if listing else report.say(_done(*row))


def _overwrite(store: UndoStore, write: Write, path: Path | None, *, report: Report, redo: bool) -> None:
    done = store.overwrite(write, path, redo=redo)
    if report.json:
        entries = [{"id": each.undo_id, "path": str(each.path), "state": "written"} for each in done]
        report.object("diffu.undo/1", 0, entries=entries)
    for each in done:
        how = f"restored {each.path} (undo with: diffu undo {each.undo_id})"
        report.say(how if each.changed else f"{each.path} is unchanged")


def _require_consent(write: Write, path: Path | None) -> None:
    """Asks on a terminal before files that diffu created are deleted. UsageError: the answer is no."""
    made = [file.path for file in write.holding("written") if file.before is None and path in {None, file.path}]
    if made and sys.stdin.isatty() and sys.stderr.isatty():
        names = ", ".join(map(str, made))
        if not confirmed(f"Delete {names}, which diffu created?"):
            raise UsageError(f"{names} stays", hint="answer y, or add -y")


@contextmanager
def _naming_another(store: UndoStore, write: Write | None, *, below: Path, redo: bool) -> Iterator[None]:
    """If the last write cannot be undone, the error says how the one before it can."""
    try:
        yield
    except DiffuError as exc:
        if write is not None and (other := store.before(write, below=below, redo=redo)):
            how = f"diffu undo {other.id}{' --redo' if redo else ''}"
            exc.hint = f"{exc.hint}; {how} {'redoes' if redo else 'undoes'} the write of {other.names} before it"
        raise


def _values(write: Write, file: FileWrite) -> dict[str, object]:
    undone = file.since if file.state == "undone" else None
    return {"id": write.id, "time": write.time, "path": str(file.path), "state": file.state, "undone": undone}


def _row(write: Write, file: FileWrite) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(write.time))
    return f"{write.id}  {when}  {SHOWN[file.state]:8} {file.path}"


def _done(write: Write, file: FileWrite) -> str:
    if write.doing:
        return f"{file.path} is as it was: the write {write.id} was interrupted before it changed anything"
    if file.state == "written":
        return f"wrote {file.path} again (undo with: diffu undo {write.id})"
    what = "removed" if file.before is None else "restored"
    return f"{what} {file.path} (redo with: diffu undo {write.id} --redo)"
