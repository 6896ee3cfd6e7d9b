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
from diffucli.cli.report import Report
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.cli.rewrite import Job, Rewritten


class OnFail(StrEnum):
    """What a filter prints when it fails."""

    echo = "echo"
    empty = "empty"


@dataclass(frozen=True, slots=True)
class What:
    """What to rewrite."""

    files: Annotated[list[Path] | None, typer.Argument(help="Files; `-` is stdin.", show_default=False)] = None
    region: Annotated[
        list[str] | None,
        typer.Option(
            "-r", "--region", help="10:40, 10,+30, 10:5-12:20, Cfg.load, :todo, :marks, :errors; as often as you like."
        ),
    ] = None
    prompt: Annotated[str | None, typer.Option("-p", "--prompt", help="What the new text should do.")] = None
    hole: Annotated[bool, typer.Option("--hole", help="??? is a hole in bash, html, strings and comments too.")] = False
    length: Annotated[
        str | None, typer.Option("--length", help="Tokens a region or a ??? may have: 30, or 1-60.", metavar="N|LO-HI")
    ] = None
    lang: flag.Language = None
    stdin_filename: flag.StdinName = None

    def jobs(self, paths: list[Path], *, stdin: bytes) -> list[Job]:
        """What to do in each of `paths`, of which `-` is `stdin`. Raises UsageError."""
        from diffucli.cli.rewrite import Wanted, jobs_of
        from diffucli.edit import holes

        length = None if self.length is None else holes.length(self.length, label=f"--length {self.length}")
        wanted = Wanted(tuple(self.region or ()), self.hole, self.lang, lenient=len(paths) > 1, length=length)
        return jobs_of(paths, wanted, stdin=stdin, stdin_name=self.stdin_filename)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the new text, which else goes to stdout."""

    write: Annotated[bool, typer.Option("-w", "--write", help="Write the file in place; undo takes it back.")] = False
    diff: Annotated[bool, typer.Option("--diff", help="Print a patch instead of the text.")] = False
    check: Annotated[bool, typer.Option("--check", help="Print nothing; exit 1 if the text would change.")] = False
    output: flag.Output = None

    def require(self, paths: list[Path]) -> None:
        """UsageError where it does not go with these files, or a target cannot be written."""
        from diffucli.cli.outcome import require_target

        if self.write + self.diff + self.check + bool(self.output) > 1:
            raise UsageError("-w, -o, --diff and --check exclude each other", hint="give one of them")
        if self.write and STDIN in paths:
            raise UsageError("-w cannot write stdin back", hint="leave it out; the text goes to stdout")
        if len(paths) > 1 and not (self.write or self.diff or self.check):
            raise UsageError("several files do not fit into one output", hint="add -w, --diff or --check")
        for path in paths:
            streams.refuse_own_output(path)
        for target in paths if self.write else [self.output] if self.output else []:
            require_target(target)

    def befall(self, done: list[Rewritten], report: Report) -> None:
        """Writes or prints what was rewritten; typer.Exit says the exit code if it is not 0."""
        from diffucli.cli import outcome

        told = []
        for one in done:
            undo = None
            if self.write:
                undo = outcome.overwrite(one.job.source, one.new, report)
            elif self.output:
                undo = outcome.create(self.output, one.new, report)
            elif not (self.check or report.json):
                streams.put(one.diff() if self.diff else one.new)
            shown = {"diff": one.diff().decode("utf-8", "replace")} if self.diff else {"text": one.text}
            told.append(one.values(undo=undo, **({} if self.check else shown)))
            report.numbers(one.numbers, one.verdict)
        status = int(self.check and any(one.changed for one in done))
        if report.json:
            report.object("diffu.run/1", status, files=told)
        if status:
            raise typer.Exit(status)


@grouped
def fill(
    context: typer.Context,
    what: What,
    fate: Fate,
    choice: Choice,
    showing: Showing,
    report: Report,
    on_fail: Annotated[OnFail, typer.Option("--on-fail", help="What a filter prints when it fails.")] = OnFail.echo,
    verify: flag.Verification = Verify.error,
) -> None:
    """Rewrite regions (-r) and holes (???) of files; the new text goes to stdout, or with -w into the file.

    A hole is ??? in the text, ???8 for eight tokens, ???1-40 for one to forty.

    Of several files all are written, or none. A filter (`-`) that fails prints its input unchanged.
    """
    from diffucli.cli import outcome, session
    from diffucli.cli.rewrite import rewrite

    is_filter = streams.is_filter(context.params)
    if is_filter and not sys.stderr.isatty() and not report.verbose:
        report = replace(report, quiet=True)  # an editor may put stderr into the text
    read = b""
    try:
        paths = streams.inputs(what.files, purpose="fill")
        fate.require(paths)
        prompt = None if what.prompt is None else streams.words(what.prompt, name="the instruction (-p)")
        read = streams.read_stdin() if STDIN in paths else b""
        jobs = what.jobs(paths, stdin=read)
        at_work = session.begin(choice, report, live=showing.live, fps=showing.fps)
        court = outcome.Court(verify, report)
        done = [rewrite(job, prompt, at_work, court) for job in jobs]
    except BaseException:
        if is_filter and on_fail is OnFail.echo:
            streams.echo(read)
        raise
    fate.befall(done, report)
