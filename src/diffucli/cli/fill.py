"""`diffu fill`: rewrite regions and holes of a file, seeing what stands on both sides."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.options import Live, Preset, Quant, Verify
from diffucli.cli.report import Report
from diffucli.errors import DiffuError, UsageError

STDIN = Path("-")


class OnFail(StrEnum):
    """What a filter prints when it fails."""

    echo = "echo"
    empty = "empty"


def fill(
    files: Annotated[list[Path] | None, typer.Argument(help="Files; `-` is stdin.", show_default=False)] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("-r", "--region", help="10:40, 10,+30, 10:5-12:20, Cfg.load, :todo, :marks, :errors."),
    ] = None,
    prompt: Annotated[str | None, typer.Option("-p", "--prompt", help="What the new text should do.")] = None,
    write: Annotated[bool, typer.Option("-w", "--write", help="Write the file in place.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print a patch instead of the text.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Print nothing; exit 1 if the text would change.")] = False,
    output: flag.Output = None,
    stdin_filename: Annotated[Path | None, typer.Option(help="The name stdin would have.")] = None,
    on_fail: Annotated[OnFail, typer.Option(help="What a filter prints when it fails.")] = OnFail.echo,
    hole: Annotated[bool, typer.Option("--hole", help="??? is a hole in bash and html too.")] = False,
    lang: flag.Language = None,
    verify: flag.Verification = Verify.error,
    model: flag.Model = None,
    quant: flag.Quantise = Quant.auto,
    device: flag.Device = "auto",
    preset: flag.Presets = Preset.balanced,
    seed: flag.Seed = None,
    steps: flag.Steps = None,
    temp: flag.Temperature = None,
    top_p: flag.TopP = None,
    alg: flag.Order = None,
    alg_temp: flag.AlgTemp = None,
    block: flag.Block = None,
    live: flag.LiveView = Live.auto,
    fps: flag.Fps = 20.0,
    as_json: flag.Json = False,
    quiet: flag.Quiet = False,
    verbose: flag.Verbose = False,
) -> None:
    """Rewrite regions (-r) and holes (???) of files; the new text goes to stdout, or with -w into the file.

    A hole is written ??? in the text, ???8 for eight tokens, ???1-40 for one to forty. As a filter (`-`) it prints its
    input unchanged when it fails.
    """
    from diffucli.cli import session
    from diffucli.cli.rewrite import Job, Wanted, rewrite

    report = Report(quiet, verbose, as_json)
    wanted = Wanted(tuple(region or ()), prompt, hole, lang, verify is not Verify.off, verify is Verify.error)
    paths = _paths(
        files or [], write=write, one=not (write or diff or check), shown=write + diff + check + bool(output)
    )
    jobs = [Job.read(path, stdin_filename, wanted) for path in paths if path != STDIN]
    echoed = b""
    try:
        if STDIN in paths:
            echoed = streams.read_stdin()
            jobs.append(Job.of_stdin(echoed, stdin_filename, wanted))
        choice = session.Choice(model, quant, device, preset, seed, steps, temp, top_p, alg, alg_temp, block)
        at_work = session.begin(choice, report, live=live, fps=fps)
        changed = [
            rewrite(job, wanted, at_work).deliver(report, write=write, diff=diff, check=check, output=output)
            for job in jobs
        ]
    except (DiffuError, KeyboardInterrupt) as error:
        if STDIN not in paths or as_json:
            raise
        if on_fail is OnFail.echo:
            streams.put(echoed)
        if isinstance(error, DiffuError) and streams.stderr_is_quiet() and not verbose:
            raise typer.Exit(error.exit_code) from error
        raise
    if check and any(changed):
        raise typer.Exit(1)


def _paths(files: list[Path], *, write: bool, one: bool, shown: int) -> list[Path]:
    """The files to work on; stdin where none is named and it is a pipe or a file."""
    if shown > 1:
        raise UsageError("-w, -o, --diff and --check exclude each other", hint="give one of them")
    paths = files or ([STDIN] if streams.stdin_is_given() else [])
    if not paths:
        raise UsageError("there is no file to fill", hint="name one, or pipe text and name it -")
    if len(set(paths)) < len(paths):
        raise UsageError(f"{max(paths, key=paths.count)} is named twice", hint="name each file once")
    if write and STDIN in paths:
        raise UsageError("-w cannot write stdin back", hint="leave it out; the text goes to stdout")
    if one and len(paths) > 1:
        raise UsageError("several files do not fit on one stdout", hint="add -w, --diff or --check")
    for path in paths:
        if path != STDIN:
            streams.refuse_own_output(path)
    return paths
