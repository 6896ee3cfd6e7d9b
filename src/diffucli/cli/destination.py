"""Where new text goes: into files, with their former content kept for `diffu undo`."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import outlets, paint, streams
from diffucli.cli.outlets import Outlet
from diffucli.cli.report import Report, run_values, say_lines
from diffucli.cli.streams import STDIN
from diffucli.errors import DiffuError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.cli.session import Session
    from diffucli.edit.patch import Change
    from diffucli.edit.undo import UndoStore
    from diffucli.tasks.jobs import Filled

    Target = Change | Outlet

WRITE_HELP = "Write the files in place; `diffu undo` restores them."


def undo_store(report: Report) -> UndoStore:
    """The undo store of this user."""
    from diffucli.edit.undo import UndoStore, default_root

    return UndoStore(default_root(), tell=report.warn)


def require_target(path: Path) -> Change:
    """A file that is to be written, as it is before a run; `replace(target, new=content)` is the change to write.

    WriteFailed or UsageError where it is plain that it cannot be written.
    """
    from diffucli.edit import patch

    target = patch.Change.of_path(path, b"")
    patch.require_writable(target.target if target.old is None else path)
    return target


def outputs(output: Path | None, *, several: int = 0) -> list[Path]:
    """The files that `output` stands for: none, itself, or for `several` candidates out.1.py, out.2.py, …"""
    if output is None or not several:
        return [output] if output else []
    return [output.with_name(f"{output.stem}.{number}{output.suffix}") for number in range(1, several + 1)]


def opened(output: Path | None, report: Report, *, several: int = 0) -> list[Target]:
    """What `outputs` of these is, as `targets`, or the stream that `output` leads to. UsageError: it takes one text."""
    if output is None or (outlet := outlets.opened(output)) is None:
        return [*targets(outputs(output, several=several), report)]
    if several:
        raise UsageError(f"{output} is a stream, which takes one text", hint="name a file with -o, or leave it out")
    return [outlet]


def targets(paths: Sequence[Path], report: Report) -> list[Change]:
    """Several such files. WriteFailed or UsageError also where two are one, or the undo store cannot be written."""
    from diffucli.edit import patch

    found = [require_target(path) for path in paths]
    patch.require_distinct(paths)
    if found:
        undo_store(report).prepare()
    return found


@contextmanager
def keeping(texts: Iterable[tuple[Path, bytes]]) -> Iterator[None]:
    """If the texts of these files cannot be written or printed inside, they are kept in a new temporary folder.

    If that cannot be written either, they go to stderr. The error says where they are.
    """
    try:
        yield
    except DiffuError as exc:
        if made := list(texts):
            exc.message = f"{exc.message}; the new text is {_kept(made)}"
        raise


def _kept(texts: list[tuple[Path, bytes]]) -> str:
    """Where the texts are now, in words."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="diffu-unwritten-"))
        files = [
            folder / (path.name if len(texts) == 1 else f"{n}-{path.name}") for n, (path, _) in enumerate(texts, 1)
        ]
        for file, (_, text) in zip(files, texts, strict=True):
            file.write_bytes(text)
    except OSError:
        for _, text in texts:
            say_lines(text.decode(errors="replace"))
        return "shown above"
    return f"kept in {files[0] if len(files) == 1 else folder}"


def write(texts: Sequence[tuple[Path, Target, bytes]], report: Report) -> list[str | None]:
    """Writes the texts of all files or of none, and what goes to streams; reports them by the paths given.

    Returns the id that `diffu undo` takes, for each; None for a stream, and where a file had the content already.
    """
    from diffucli.edit import patch

    changes = [replace(target, new=text) for _, target, text in texts if isinstance(target, patch.Change)]
    written = iter(patch.write_all(changes, store=undo_store(report)))
    ids: list[str | None] = []
    for path, target, text in texts:
        if isinstance(target, Outlet):
            target.put(text)
            report.notice(f"wrote {path}")
            ids.append(None)
            continue
        one = next(written)
        report.notice(f"wrote {path} (undo with: diffu undo {one.undo_id})" if one.changed else f"{path} is unchanged")
        ids.append(one.undo_id)
    return ids


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the new text of files goes: to stdout by default."""

    write: Annotated[bool, flag.output("-w", "--write", metavar=flag.FLAG, help=WRITE_HELP)] = False
    diff: Annotated[bool, flag.output("--diff", metavar=flag.FLAG, help="Print a patch for `git apply`.")] = False
    check: Annotated[
        bool, flag.output("--check", metavar=flag.FLAG, help="Print nothing; exit with 1 if a file would change.")
    ] = False
    output: flag.Output = None
    ask: Annotated[bool, flag.output("--ask", metavar=flag.FLAG, help=flag.ASK_HELP)] = False

    def require(self, paths: list[Path], report: Report, *, several: int = 0) -> list[Target]:
        """Where the texts go, as `opened`. UsageError where the options do not go with each other or these files.

        several: how many candidates of each file are wanted, if it is all of them.
        """
        if several and (self.write or self.diff or self.check or self.ask):
            raise UsageError("--pick all does not go with -w, --diff, --check or --ask", hint="use -o, or leave it out")
        if self.ask:
            self._require_terminal(paths, report)
        if self.write + self.diff + self.check + bool(self.output) > 1:
            raise UsageError("-w, -o, --diff and --check exclude each other", hint="give one of them")
        if self.write and STDIN in paths:
            raise UsageError("-w cannot write stdin back", hint="leave it out; the text goes to stdout")
        if len(paths) > 1 and not (
            self.write or self.diff or self.check or ((several or report.json) and not self.output)
        ):
            raise UsageError("several files do not fit into one output", hint="add -w, --diff, --check or --json")
        for path in paths:
            streams.refuse_own_output(path)
        return [*targets(paths, report)] if self.write else opened(self.output, report, several=several)

    def _require_terminal(self, paths: list[Path], report: Report) -> None:
        """UsageError where nobody can be asked."""
        if not (self.write or self.output):
            raise UsageError("--ask needs a file to write", hint="add -w or -o FILE")
        if STDIN in paths or not sys.stdin.isatty():
            raise UsageError("--ask needs a terminal on stdin, where the answers are typed", hint="leave it out")
        if report.json:
            raise UsageError("--ask does not go with --json", hint="use --pick all, and choose yourself")

    def put(self, filled: list[Filled], targets: list[Target], report: Report, session: Session) -> None:
        """Writes or prints what was filled; typer.Exit says the exit code if it is not 0.

        targets: what `require` gave.
        """
        undo = self._write(filled, targets, report)
        if not (self.write or self.output or self.check or report.json):
            for one in filled:
                if self.diff:
                    paint.put_diff(one.diff(), session.theme)
                else:
                    paint.put_code(one.new, one.job.language.name, session.theme)
        for one in filled:
            report.figures(one.result, session.load_seconds)
        status = int(self.check and any(one.changed for one in filled))
        values = [self.values(one, id_, session.load_seconds) for one, id_ in zip(filled, undo, strict=True)]
        whole = [{**each, "text": one.result.text} for each, one in zip(values, filled, strict=True)]
        session.end(status, {"files": values}, kept={"files": whole})
        if status:
            raise typer.Exit(status)

    def _write(self, filled: list[Filled], targets: list[Target], report: Report) -> list[str | None]:
        """All files, or the one output; the ids that undo takes."""
        from diffucli.edit.patch import Change

        if self.write:
            files = [(Path(one.job.name), Change.of_source(one.job.source, one.new), one.new) for one in filled]
            return write(files, report)
        if self.output:
            return write([(self.output, targets[0], filled[0].new)], report)
        return [None for _ in filled]

    def values(self, one: Filled, undo: str | None, load_seconds: float) -> dict[str, object]:
        """What --json says of a file."""
        shown = {"diff": one.diff().decode("utf-8", "replace")} if self.diff else {"text": one.result.text}
        about = {"file": one.job.name, "language": one.job.language.name}
        values = {**about, "changed": one.changed, "undo": undo, **({} if self.check else shown)}
        return {**values, **run_values(one.result, load_seconds, too_new=one.too_new)}
