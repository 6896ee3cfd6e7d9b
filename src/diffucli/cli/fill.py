"""`diffu fill`: rewrite regions and holes of files, seeing what stands on both sides."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice, Showing, Verify
from diffucli.cli.report import Numbers, Report, run_values
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.tasks.fill import Filled, Job


EXAMPLES = """
Examples:

  diffu fill app.py -r 10:14 -w

  diffu fill app.py -r Cfg.load -p "use a with statement" --diff
"""


REGION_HELP = "Rewrite this region: 10:40, 10,+30, 10:5-12:20, Cfg.load, :todo, :marks or :errors; repeatable."
WRITE_HELP = "Write the files in place; `diffu undo` restores them."


class OnFail(StrEnum):
    """What a filter prints when it fails."""

    echo = "echo"
    empty = "empty"


@dataclass(frozen=True, slots=True)
class FillInput:
    """What to rewrite."""

    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Files to rewrite; `-` is stdin.", show_default=False)
    ] = None
    region: Annotated[list[str] | None, typer.Option("-r", "--region", metavar="REGION", help=REGION_HELP)] = None
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", metavar="TEXT", help="What the new text should do.")
    ] = None
    hole: Annotated[
        bool, typer.Option("--hole", metavar=flag.FLAG, help="Also fill ??? in bash, html, strings and comments.")
    ] = False
    length: Annotated[
        str | None,
        typer.Option("--length", metavar="N|LO-HI", help="Tokens of regions and ??? that give no length: 30, or 1-60."),
    ] = None
    lang: flag.Language = None
    stdin_filename: flag.StdinName = None

    def jobs(self, paths: list[Path], *, stdin: bytes) -> list[Job]:
        """What to do in each of `paths`, of which `-` is `stdin`. Raises UsageError."""
        from diffucli.edit import holes, source
        from diffucli.tasks.fill import Wanted, jobs_of

        length = None if self.length is None else holes.length(self.length, label=f"--length {self.length}")
        wanted = Wanted(tuple(self.region or ()), self.hole, self.lang, length, lenient=len(paths) > 1)
        named = [(path, self.stdin_filename if path == STDIN else path) for path in paths]
        sources = [source.from_bytes(stdin, name) if path == STDIN else source.read(path) for path, name in named]
        return jobs_of(zip(sources, (name for _, name in named), strict=True), wanted)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the new text goes: to stdout by default."""

    write: Annotated[bool, flag.output("-w", "--write", metavar=flag.FLAG, help=WRITE_HELP)] = False
    diff: Annotated[bool, flag.output("--diff", metavar=flag.FLAG, help="Print a patch for `git apply`.")] = False
    check: Annotated[
        bool, flag.output("--check", metavar=flag.FLAG, help="Print nothing; exit with 1 if a file would change.")
    ] = False
    output: flag.Output = None

    def require(self, paths: list[Path], report: Report) -> None:
        """UsageError where it does not go with these files, or a target cannot be written."""
        from diffucli.cli.destination import require_target

        if self.write + self.diff + self.check + bool(self.output) > 1:
            raise UsageError("-w, -o, --diff and --check exclude each other", hint="give one of them")
        if self.write and STDIN in paths:
            raise UsageError("-w cannot write stdin back", hint="leave it out; the text goes to stdout")
        if len(paths) > 1 and not (self.write or self.diff or self.check or (report.json and not self.output)):
            raise UsageError("several files do not fit into one output", hint="add -w, --diff, --check or --json")
        for path in paths:
            streams.refuse_own_output(path)
        for target in paths if self.write else [self.output] if self.output else []:
            require_target(target)

    def put(self, filled: list[Filled], report: Report, *, load_seconds: float) -> None:
        """Writes or prints what was filled; typer.Exit says the exit code if it is not 0."""
        undo = self._write(filled, report)
        if not (self.write or self.output or self.check or report.json):
            for one in filled:
                streams.put(one.diff() if self.diff else one.new)
        numbers = [Numbers.of(one.result, load_seconds) for one in filled]
        for one, figures in zip(filled, numbers, strict=True):
            report.numbers(figures, one.result.check.result)
        status = int(self.check and any(one.changed for one in filled))
        if report.json:
            files = [self._values(*each) for each in zip(filled, numbers, undo, strict=True)]
            report.object("diffu.run/1", status, files=files)
        if status:
            raise typer.Exit(status)

    def _write(self, filled: list[Filled], report: Report) -> list[str | None]:
        """All files, or the one output; the ids that undo takes."""
        from diffucli.cli import destination
        from diffucli.edit.patch import Change

        if self.write:
            changes = [(Path(one.job.name), Change.of_source(one.job.source, one.new)) for one in filled]
            return destination.write(changes, report)
        if self.output:
            return destination.write([(self.output, Change.of_path(self.output, filled[0].new))], report)
        return [None for _ in filled]

    def _values(self, one: Filled, numbers: Numbers, undo: str | None) -> dict[str, object]:
        """What --json says of a file."""
        shown = {"diff": one.diff().decode("utf-8", "replace")} if self.diff else {"text": one.result.text}
        values = {"file": one.job.name, "changed": one.changed, "undo": undo, **({} if self.check else shown)}
        return {**values, **run_values(numbers, one.result.check.result)}


@grouped
def fill(
    context: typer.Context,
    given: FillInput,
    *,
    destination: Destination,
    on_fail: Annotated[
        OnFail, flag.output("--on-fail", help="What is printed on failure if the text comes from stdin.")
    ] = OnFail.echo,
    verify: flag.Verification = Verify.error,
    report: Report,
    showing: Showing,
    choice: Choice,
) -> None:
    """Rewrite regions and holes of files. The new text goes to stdout, or into the files with -w.

    A hole is written ??? in the file, ???8 for eight tokens, ???1-40 for one to forty. Regions are named with -r.

    Several files are written together or not at all. Text from stdin is printed unchanged if it cannot be filled.
    """
    from diffucli.cli import session

    is_filter = streams.is_filter(context.params)
    if is_filter and not sys.stderr.isatty() and not report.verbose:
        report = replace(report, quiet=True)  # an editor may put stderr into the text
    read = b""
    try:
        paths = streams.inputs(given.files, purpose="fill")
        destination.require(paths, report)
        instruction = None if given.prompt is None else streams.words(given.prompt, name="the instruction (-p)")
        read = streams.read_stdin() if STDIN in paths else b""
        jobs = given.jobs(paths, stdin=read)
        at_work = session.begin(choice, report, live=showing.live, fps=showing.fps)
        from diffucli.tasks import fill as task

        filled = []
        for job in jobs:
            run = task.fill(at_work.checkpoint, job, at_work.policy, instruction=instruction, verify=verify.value)
            filled.append(at_work.run(run, language=job.language.name))
            report.of_run(filled[-1].result)
            filled[-1].result.accepted()
    except BaseException:
        if is_filter and on_fail is OnFail.echo:
            streams.echo(read)
        raise
    destination.put(filled, report, load_seconds=at_work.load_seconds)
