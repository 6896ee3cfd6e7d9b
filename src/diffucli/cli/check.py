"""`diffu check`: parse only, no model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.report import Report, places, say
from diffucli.errors import UsageError


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Files; `-` is stdin.", show_default=False)] = None,
    lang: flag.Language = None,
    stdin_filename: Annotated[Path | None, typer.Option(help="The name stdin would have.")] = None,
    as_json: flag.Json = False,
    quiet: flag.Quiet = False,
    verbose: flag.Verbose = False,
) -> None:
    """Parse files and print file:line:col of what does not; exit 1 if anything does not."""
    from diffucli.cli.rewrite import language_of
    from diffucli.edit import source
    from diffucli.syntax.check import check as judge

    report = Report(quiet, verbose, as_json)
    paths = files or ([Path("-")] if streams.stdin_is_given() else [])
    if not paths:
        raise UsageError("there is nothing to check", hint="name a file, or pipe text")
    results, bad = [], False
    for path in paths:
        stdin = path == Path("-")
        name = stdin_filename if stdin else path
        read = source.from_bytes(streams.read_stdin()) if stdin else source.read(path)
        verdict = judge(read.text, language_of(read.text, name, lang), name=str(name or "<stdin>"))
        bad = bad or bool(verdict.problems)
        results.append({"file": str(name or "<stdin>"), "checked": verdict.known, "problems": places(verdict)})
        if as_json:
            continue
        for problem in verdict.problems:
            print(f"{name or '<stdin>'}:{problem.line}:{problem.column}: {problem.message}")
        if not verdict.known:
            report.warn(f"{name or '<stdin>'}: {verdict.note}")
    if as_json:
        report.object("diffu.check/1", int(bad), files=results)
    elif not bad and verbose:
        say(f"{len(paths)} checked, nothing found")
    if bad:
        raise typer.Exit(1)
