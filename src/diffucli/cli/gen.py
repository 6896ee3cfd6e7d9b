"""`diffu gen`: new code from a request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import paint
from diffucli.cli.effort import Trying
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice, Showing
from diffucli.cli.outlets import Outlet
from diffucli.cli.report import Report, run_values
from diffucli.cli.request import GenInput, joined

EXAMPLES = flag.examples(
    'diffu gen "check whether a number is prime"',
    'diffu gen "sum of the squares of the even numbers" -o squares.py',
)
LONGEST = 65_536  # masks; longer than what any checkpoint takes


@grouped
def gen(
    given: GenInput,
    *,
    lang: flag.Language = None,
    length: Annotated[
        int | None,
        typer.Option("--length", metavar="N", min=1, max=LONGEST, help="Most tokens of the answer. (default: 256)"),
    ] = None,
    output: flag.Output = None,
    verify: flag.Verification = "error",
    no_tools: flag.NoTools = False,
    strict: flag.Strict = False,
    trying: Trying,
    report: Report,
    showing: Showing,
    choice: Choice,
) -> None:
    """Write new code for a request. The code goes to stdout, and nothing else does.

    If a request is given, what comes on stdin is context that the model reads with it.
    """
    from diffucli.cli import candidates, destination, session
    from diffucli.syntax import languages

    report = replace(report, json=report.json or showing.jsonl)
    language = languages.by_name(lang or "python")
    targets = destination.opened(output, report, several=trying.several)
    if output is not None:
        language = language if lang else languages.of_path(output) or language
    language = replace(language, tools=not no_tools)
    file = None if output is None or isinstance(targets[0], Outlet) else output
    name = file.name if file else f"answer{language.suffixes[0]}"
    project = trying.project(None, name)
    words, contexts = given.parts(report)
    at_work = session.begin(choice, report, showing)
    from diffucli.tasks import lowest
    from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS, Request, generate

    at_work.tell_limits(language, words, [context.text for context in contexts])
    request = Request(joined(words, contexts), language, length or DEFAULT_ANSWER_TOKENS, verify=verify)
    with at_work.journal.recording("gen", words):
        run = generate(at_work.checkpoint, request, at_work.policy, effort=trying.effort(project, verify))
        result = at_work.run(run, language=language.name, candidates=trying.candidates)
        if not result.ended and not result.chosen.written.masks_left:
            report.warn("the canvas is full before the code came to its end; try a larger --length")
        python = lowest.of(file, language)
        too_new = python.note(result.text) if python else ""
        report.of_run(result, strict=strict, too_new=too_new)
        figures = run_values(result, at_work.load_seconds, too_new=too_new)
        about = {"language": language.name, "context": [each.values() for each in contexts]}
        values = {**about, "file": output and str(output), "undo": None, "ended": result.ended, **figures}
        if trying.is_all:
            candidates.put_all(result, output, targets, report, encode=str.encode, strict=strict)
            at_work.end(0, {"text": result.text, **values}, told=showing.jsonl)
            report.figures(result, at_work.load_seconds)
            return
        code = result.accepted(strict=strict).text
        with destination.keeping([(Path(name), code.encode())]):
            written = [(output, targets[0], code.encode())] if output else []
            (undo,) = destination.write(written, report) or [None]
            at_work.end(0, {"text": code, **values, "undo": undo})
            if not report.json and output is None:
                paint.put_code(code.encode(), language.name, at_work.theme)
        report.figures(result, at_work.load_seconds)
