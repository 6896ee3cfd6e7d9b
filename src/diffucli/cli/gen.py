"""`diffu gen`: new code from a request."""

from __future__ import annotations

from dataclasses import dataclass
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
    from diffucli.cli.session import Session
    from diffucli.syntax.languages import Language

EXAMPLE = 'say what to write: diffu gen "write a quicksort"'
LONGEST = 65_536  # masks; longer than what any checkpoint takes


@dataclass(frozen=True, slots=True)
class Request:
    """What to write, and what to look at meanwhile."""

    prompt: Annotated[str | None, typer.Argument(help="What to write; `-` or nothing reads it from stdin.")] = None
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Read the request from this file.")] = None
    context: Annotated[
        list[Path] | None, typer.Option("-c", "--context", help="A file to look at; as often as you like.")
    ] = None

    def query(self) -> str:
        """The request, followed by every context in a fence of its own. Raises UsageError."""
        contexts = list(self.context or [])
        if self.file is not None and self.prompt is not None:
            raise UsageError("a PROMPT and -f are two requests", hint="give one of them; more files go to -c")
        source = STDIN if self.prompt == "-" else self.file
        if source is None and self.prompt is None:
            if not streams.stdin_is_given():
                raise UsageError("there is no request", hint=EXAMPLE)
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
    request: Request,
    choice: Choice,
    showing: Showing,
    report: Report,
    length: Annotated[
        int | None, typer.Option("--length", min=1, max=LONGEST, help="Tokens the answer may have (256).")
    ] = None,
    lang: flag.Language = None,
    output: flag.Output = None,
    verify: flag.Verification = Verify.error,
) -> None:
    """Write new code for a request; the code alone goes to stdout.

    Stdin beside a PROMPT is context: `diffu gen "add a docstring" < file.py`.
    """
    from diffucli.cli import outcome, session
    from diffucli.syntax import languages

    language = languages.by_name(lang or "python")
    if output is not None:
        outcome.require_target(output)
        language = language if lang else languages.of_path(output) or language
    query = request.query()
    at_work = session.begin(choice, report, live=showing.live, fps=showing.fps)
    court = outcome.Court(verify, report)
    code, ended, numbers = _write(at_work, query, language, length)
    opinion = court.on_answer(code, language)
    if court.refuses(opinion) and (careful := at_work.careful()):
        report.note(f"the answer does not parse; {session.AGAIN}")
        code, ended, numbers = _write(careful, query, language, length)
        opinion = court.on_answer(code, language)
    if not ended and not numbers.left:
        report.warn("the canvas is full before the code came to its end; try a larger --length")
    verdict = court.rule(opinion)
    undo = None if output is None else outcome.create(output, code.encode(), report)
    if report.json:
        values = run_values(numbers, verdict)
        report.object("diffu.run/1", 0, text=code, file=output and str(output), undo=undo, ended=ended, **values)
    elif output is None:
        streams.put(code.encode())
    report.numbers(numbers, verdict)


def _write(at_work: Session, query: str, language: Language, length: int | None) -> tuple[str, bool, Numbers]:
    """The code, whether it came to an end by itself, and the figures of the run."""
    run = at_work.engine.generate(query, tag=language.tag, length=length)
    final, numbers = at_work.finish(run, language=language.name)
    return *at_work.engine.answer_of(run, final), numbers
