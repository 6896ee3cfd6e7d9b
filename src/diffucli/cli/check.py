"""`diffu check`: parses files; needs no model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import failure, streams, walk
from diffucli.cli import options as flag
from diffucli.cli.groups import grouped
from diffucli.cli.report import Report, notes_of, places, tell
from diffucli.errors import UsageError

FILES_HELP = "Files or folders to check; `-` is stdin."
EXAMPLES = flag.examples("diffu check app.py lib.py", "cat app.rs | diffu check - -l rust --json")


@grouped
def check(
    report: Report,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help=FILES_HELP, show_default=False)] = None,
    lang: flag.Language = None,
    stdin_filename: flag.StdinName = None,
    no_tools: flag.NoTools = False,
) -> None:
    """Check that files parse. Each syntax error is printed as file:line:column: message.

    Of a folder every source file is checked that git does not ignore. Exits with 1 if a file does not parse, or is in a
    language that cannot be checked, and with 2 if one cannot be read; the others are checked all the same.
    """
    from diffucli.syntax import languages
    from diffucli.syntax.check import check as judge
    from diffucli.tasks import lowest

    results: list[dict[str, object]] = []
    status, paths = 0, walk.expanded(streams.inputs(files, purpose="check"))
    for path in paths:
        named = stdin_filename if streams.is_stream(path) else path
        name = str(named or ("<stdin>" if path == streams.STDIN else path))
        try:
            read = streams.source_of(path, named)
            language = replace(languages.detect(read.text, named, lang), tools=not no_tools)
        except UsageError as refused:
            if len(paths) == 1:
                raise
            if not report.json:
                failure.line(refused, quiet=report.quiet)
            results.append({"file": name, "parses": None, "problems": [], "notes": [], "error": refused.message})
            status = UsageError.exit_code
            continue
        verdict = judge(read.text, language, name=name)
        python = lowest.of(named, language)
        notes = notes_of(verdict.note, python.note(read.text) if python and verdict.ok else "")
        values = {"parses": verdict.parses, "problems": places(verdict.diagnostics), "notes": notes}
        results.append({"file": name, **values})
        status = status or int(not verdict.ok)
        for problem in () if report.json else verdict.diagnostics:
            tell(f"{name}:{problem.line}:{problem.column}: {problem.message}")
        for note in notes:
            report.warn(f"{name}: {note}")
    if report.json:
        report.object("diffu.check/1", status, files=results)
    elif not status:
        report.note(f"{len(results)} checked, nothing found")
    if status:
        raise typer.Exit(status)
