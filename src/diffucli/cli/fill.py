"""`diffu fill`: rewrite regions and holes of files, seeing what stands on both sides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import candidates, complete, places, streams
from diffucli.cli import options as flag
from diffucli.cli.destination import Destination, keeping
from diffucli.cli.effort import Trying
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice, Showing
from diffucli.cli.report import Report
from diffucli.cli.streams import STDIN
from diffucli.signals import unwinding_on_kill

if TYPE_CHECKING:
    from diffucli.tasks.jobs import Filled, Job
    from diffucli.tasks.trial import Project

EXAMPLES = flag.examples(
    "diffu fill app.py:10-14 -w",
    'diffu fill app.py -r Cfg.load -p "use a with statement" --diff',
)
REGION_HELP = (
    "Rewrite this region: lines 10:40 or 10,+30, columns 10:5-12:20, the body of a symbol Cfg.load (Cfg.load=whole: "
    "all of it, with its signature and docstring), :todo, :marks or :errors; repeatable."
)
FILES_HELP = "Files to rewrite, or a region each: FILE:10, FILE:10-14, FILE::name; `-` is stdin."


@dataclass(frozen=True, slots=True)
class FillInput:
    """What to rewrite."""

    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help=FILES_HELP, show_default=False, autocompletion=complete.placed),
    ] = None
    region: Annotated[
        list[str] | None,
        typer.Option("-r", "--region", metavar="REGION", help=REGION_HELP, autocompletion=complete.regions),
    ] = None
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

    def jobs(
        self, paths: dict[Path, tuple[str, ...]], *, read_stdin: Callable[[], bytes], tools: bool = True
    ) -> list[Job]:
        """What to do in each of `paths` with their own regions. Raises UsageError."""
        from diffucli.edit import holes
        from diffucli.tasks.jobs import Wanted, jobs_of

        length = None if self.length is None else holes.length(self.length, label=f"--length {self.length}")
        own = {path: regions for path, regions in paths.items() if regions}
        wanted = Wanted(
            tuple(self.region or ()),
            self.hole,
            self.lang,
            length,
            lenient=len(paths) > 1,
            own=own,
            fragments=STDIN in paths,
            tools=tools,
        )
        named = [(path, self.stdin_filename if streams.is_stream(path) else path) for path in paths]
        sources = [streams.source_of(path, name, read=read_stdin) for path, name in named]
        return jobs_of(zip(sources, (name for _, name in named), strict=True), wanted)


@grouped
def fill(
    context: typer.Context,
    given: FillInput,
    *,
    destination: Destination,
    on_fail: Annotated[
        Literal["echo", "empty"],
        flag.output("--on-fail", help="What to print on failure if the text comes from stdin."),
    ] = "echo",
    verify: flag.Verification = "error",
    no_tools: flag.NoTools = False,
    strict: flag.Strict = False,
    trying: Trying,
    report: Report,
    showing: Showing,
    choice: Choice,
) -> None:
    """Rewrite regions and holes of files. The new text goes to stdout, or into the files with -w.

    A hole is written ??? in the file, ???8 for eight tokens, ???1-40 for one to forty. Regions are named with -r, or
    behind the file: app.py:10-14 for lines, app.py::load for a symbol.

    Several files are written together or not at all. Text from stdin is printed unchanged if it cannot be filled.
    """
    from diffucli.cli import session

    report = replace(report, json=report.json or showing.jsonl)
    is_filter = streams.is_filter(context.params)
    if is_filter and not sys.stderr.isatty() and not report.verbose:
        report = replace(report, quiet=True)  # an editor may put stderr into the text
    echoes = is_filter and on_fail == "echo"
    with ExitStack() as until_the_end:
        until_the_end.enter_context(unwinding_on_kill())  # a filter echoes then, and the log keeps the run
        with streams.echoing() if echoes else nullcontext(streams.read_stdin) as read_stdin:
            own = places.split(given.files)
            paths = streams.inputs(list(own), purpose="fill")
            streams.require_distinct(paths)
            targets = destination.require(paths, report, several=trying.several)
            instruction = None if given.prompt is None else streams.words(given.prompt, name="the instruction (-p)")
            jobs = given.jobs({path: own.get(path, ()) for path in paths}, read_stdin=read_stdin, tools=not no_tools)
            projects = [trying.project(job.source.path, f"text{job.language.suffixes[0]}") for job in jobs]
            at_work = session.begin(choice, report, showing)
            from diffucli.tasks import fill as task

            for language in dict.fromkeys(job.language for job in jobs):
                at_work.tell_limits(language, instruction or "")
            until_the_end.enter_context(at_work.journal.recording("fill", instruction))
            filled: list[Filled] = []
            for job, project in zip(jobs, projects, strict=True):
                effort = trying.effort(
                    project, verify, encode=job.source.encode, others=placed(filled, projects, project)
                )
                run = task.fill(
                    at_work.checkpoint, job, at_work.policy, instruction=instruction, verify=verify, effort=effort
                )
                done = at_work.run(run, language=job.language.name, file=job.name, candidates=trying.candidates)
                report.of_run(done.result, job.name, strict=strict, too_new=done.too_new)
                require = done.result.acceptable if trying.is_all or destination.ask else done.result.accepted
                require(strict=strict)
                filled.append(candidates.ask(done, at_work, strict=strict) if destination.ask else done)
        if trying.is_all:
            for one in filled:
                encode, name = one.job.source.encode, one.job.name
                candidates.put_all(
                    one.result, destination.output, targets, report, encode=encode, name=name, strict=strict
                )
                report.figures(one.result, at_work.load_seconds)
            values = [destination.values(one, None, at_work.load_seconds) for one in filled]
            at_work.end(0, {"files": values}, told=showing.jsonl)
            return
        with keeping((Path(one.job.name), one.new) for one in filled if one.changed):
            destination.put(filled, targets, report, at_work)


def placed(filled: Sequence[Filled], projects: Sequence[Project | None], current: Project | None) -> dict[Path, bytes]:
    """The new contents of the files of the `current` project that are filled already, by their places in its copy."""
    if current is None or current.root is None:
        return {}
    pairs = zip(filled, projects, strict=False)
    return {project.place: one.new for one, project in pairs if project and project.root == current.root}
