"""The request of `diffu gen`: from its argument, a file or stdin, with the files that the model is to read with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.report import Report
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

NO_STDIN_HELP = "Leave stdin alone, as in a loop that reads the requests from it."
NO_REQUEST = 'say what to write: diffu gen "write a quicksort"'


@dataclass(frozen=True, slots=True)
class Context:
    """A text that the model reads with a request, without blank lines around it. path: `-` for stdin. lines: of all."""

    path: Path
    text: str
    lines: int

    @classmethod
    def of(cls, path: Path) -> Context:
        """The context in a file or on stdin. UsageError: it is no readable text."""
        text = streams.text_of(path)
        return cls(path, text.strip(), len(text.splitlines()))

    def values(self) -> dict[str, object]:
        """What --json says of it."""
        return {"file": str(self.path), "lines": self.lines}


@dataclass(frozen=True, slots=True)
class GenInput:
    """The flags of a request."""

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

    no_stdin: Annotated[bool, typer.Option("--no-stdin", metavar=flag.FLAG, help=NO_STDIN_HELP)] = False

    def parts(self, report: Report) -> tuple[str, list[Context]]:
        """The request and its contexts; `report` is told what becomes of stdin. Raises UsageError."""
        if self.file is not None and self.prompt is not None:
            raise UsageError("a PROMPT and -f are two requests", hint="give one of them; more files go to -c")
        source = STDIN if self.prompt == "-" else self.file and streams.named(self.file)
        if source is None and self.prompt is None:
            if self.no_stdin or not streams.stdin_is_given():
                raise UsageError("there is no request", hint=NO_REQUEST)
            source = STDIN
        paths = [streams.named(path) for path in self.context or ()]
        comes_along = self._comes_along([*paths, source], report)
        request = self.prompt if source is None else streams.text_of(source)
        read = [Context.of(path) for path in [*paths, *[STDIN] * comes_along]]
        contexts = [context for context in read if context.text]
        name = "the request" if source is None else f"the request in {'stdin' if source == STDIN else source}"
        words = streams.words(request or "", name=name)
        for context in contexts:
            if context.path == STDIN:
                lines = "line of stdin is" if context.lines == 1 else "lines of stdin are"
                report.warn(f"{context.lines} {lines} context{' (--no-stdin leaves it alone)' * comes_along}")
        return words, contexts

    def _comes_along(self, named: list[Path | None], report: Report) -> bool:
        """Whether stdin is context beside the inputs `named`, though it is none of them. Raises UsageError."""
        if named.count(STDIN) > 1:
            raise UsageError("stdin can be read only once", hint="name it - in one place")
        if self.no_stdin and STDIN in named:
            raise UsageError("--no-stdin leaves alone what - names", hint="leave out one of them")
        if self.no_stdin or STDIN in named:
            return False
        if streams.stdin_is_ignored():
            report.warn("stdin is a socket, which is read only if it is named (-c - reads it as context)")
        return streams.stdin_comes_along()


def joined(words: str, contexts: Sequence[Context]) -> str:
    """A request, followed by every context in a fence of its own."""
    return "\n\n".join([words, *(f"```\n{context.text}\n```" for context in contexts)])
