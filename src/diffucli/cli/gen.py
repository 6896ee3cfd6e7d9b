"""`diffu gen`: new code from a request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice, Showing, Verify
from diffucli.cli.report import Numbers, Report, run_values
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

EXAMPLES = """
Examples:

  diffu gen "check whether a string is a palindrome"

  diffu gen "sum of the squares of the even numbers" -o squares.py
"""
NO_REQUEST = 'say what to write: diffu gen "write a quicksort"'
LONGEST = 65_536  # masks; longer than what any checkpoint takes


@dataclass(frozen=True, slots=True)
class GenInput:
    """The request, and files that the model is to read with it."""

    prompt: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="What to write; `-` or nothing reads it from stdin.", show_default=False),
    ] = None
    file: Annotated[
        Path | None, typer.Option("-f", "--file", metavar="FILE", help="Read the request from this file.")
    ] = None
    context: Annotated[
        list[Path] | None,
        typer.Option("-c", "--context", metavar="FILE", help="Let the model read this file too; repeatable."),
    ] = None

    def request(self) -> str:
        """The request, followed by every context in a fence of its own. Raises UsageError."""
        contexts = list(self.context or [])
        if self.file is not None and self.prompt is not None:
            raise UsageError("a PROMPT and -f are two requests", hint="give one of them; more files go to -c")
        source = STDIN if self.prompt == "-" else self.file
        if source is None and self.prompt is None:
            if not streams.stdin_is_given():
                raise UsageError("there is no request", hint=NO_REQUEST)
            source = STDIN
        read = [*contexts, source]
        if STDIN not in read and streams.stdin_is_given():
            contexts.append(STDIN)
        elif read.count(STDIN) > 1:
            raise UsageError("stdin can be read only once", hint="name it - in one place")
        request = self.prompt if source is None else streams.text_of(source)
        texts = [streams.text_of(path).strip() for path in contexts]
        name = "the request" if source is None else f"the request in {'stdin' if source == STDIN else source}"
        return "\n\n".join([streams.words(request or "", name=name), *(f"```\n{text}\n```" for text in texts if text)])


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
    verify: flag.Verification = Verify.error,
    report: Report,
    showing: Showing,
    choice: Choice,
) -> None:
    """Write new code for a request. The code goes to stdout, and nothing else does.

    If a request is given, what comes on stdin is context that the model reads with it.
    """
    from diffucli.cli import destination, session
    from diffucli.syntax import languages

    language = languages.by_name(lang or "python")
    if output is not None:
        destination.require_target(output)
        language = language if lang else languages.of_path(output) or language
    text = given.request()
    at_work = session.begin(choice, report, live=showing.live, fps=showing.fps)
    from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS, Request, generate

    request = Request(text, language, length or DEFAULT_ANSWER_TOKENS, verify=verify.value)
    result = at_work.run(generate(at_work.checkpoint, request, at_work.policy), language=language.name)
    numbers = Numbers.of(result, at_work.load_seconds)
    if not result.ended and not numbers.left:
        report.warn("the canvas is full before the code came to its end; try a larger --length")
    report.of_run(result)
    code = result.accepted().text
    undo = None
    if output is not None:
        from diffucli.edit.patch import Change

        (undo,) = destination.write([(output, Change.of_path(output, code.encode()))], report)
    if report.json:
        values = run_values(numbers, result.check.result)
        report.object("diffu.run/1", 0, text=code, file=output and str(output), undo=undo, ended=result.ended, **values)
    elif output is None:
        streams.put(code.encode())
    report.numbers(numbers, result.check.result)
