"""The request of `diffu gen`: from its argument, a file or stdin, with the files that the model is to read with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import streams
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

NO_REQUEST = 'say what to write: diffu gen "write a quicksort"'


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

    def parts(self) -> tuple[str, list[str]]:
        """The request and its contexts. Raises UsageError."""
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
        return streams.words(request or "", name=name), [text for text in texts if text]


def joined(words: str, contexts: Sequence[str]) -> str:
    """A request, followed by every context in a fence of its own."""
    return "\n\n".join([words, *(f"```\n{text}\n```" for text in contexts)])
