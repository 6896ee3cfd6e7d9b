"""What a command that fails says, and its exit code: one line on stderr, or an object on stdout where --json is given.

A filter that fails echoes its input, and is silent where stderr may land in the text.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from diffucli.cli import streams
from diffucli.cli.configured import NotBegun
from diffucli.cli.report import places, say, say_lines
from diffucli.errors import (
    LESS_MEMORY,
    DiffuError,
    ModelError,
    NoRoom,
    NotPrinted,
    Unparsable,
    UsageError,
    WriteFailed,
    is_out_of_memory,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERNAL = 70  # EX_SOFTWARE of sysexits.h
PIPE = 141  # what a shell makes of SIGPIPE
DASHED = re.compile(r"-(?:-[^\s=]*)?\s")  # the beginning of a text, as of a list in Markdown; no option has a blank
VARIABLE = re.compile(r" \(env var: '\w+'\)")  # typer names it whether the value is from there or not
MESSAGE_LENGTH = 200  # characters of a library's message that are shown


@dataclass(frozen=True, slots=True)
class Asked:
    """What the arguments of a failed command ask for, as far as they can be read.

    command: such as "diffu model show". echo: it is a filter whose input must come out again. dashed: a text begins as
    an option does.
    """

    command: str
    json: bool = False
    quiet: bool = False
    silent: bool = False
    echo: bool = False
    dashed: bool = False


def asked(command: object, argv: Sequence[str]) -> Asked:
    """Reads `argv` as `command` would, but past its mistakes: `--json` after `--` or as a value is no flag."""
    name, rest = "diffu", list(argv)
    while isinstance(command, TyperGroup):
        while rest and rest[0].startswith("-"):
            rest.pop(0)
        if not rest or rest[0] not in command.commands:
            return Asked(name)
        name, command = f"{name} {rest[0]}", command.commands[rest.pop(0)]
    assert isinstance(command, typer.core.TyperCommand)
    values = command.make_context(
        name, rest, resilient_parsing=True, ignore_unknown_options=True, allow_extra_args=True
    ).params
    given = {flag: values.get(str(param.name)) for param in command.params for flag in param.opts}
    is_filter = name == "diffu fill" and streams.is_filter(values)
    return Asked(
        name,
        json=bool(given.get("--json") or given.get("--jsonl")),
        quiet=bool(given.get("--quiet")),
        silent=is_filter and not given.get("--verbose") and not sys.stderr.isatty(),
        echo=is_filter and given.get("--on-fail") != "empty",
        dashed=any(DASHED.match(word) for word in argv),
    )


def tell(error: Exception, asked: Asked) -> int:
    """Says what went wrong as it was asked for; the exit code."""
    if isinstance(error, typer.TyperException):
        message = VARIABLE.sub("", error.format_message()).replace("Value error, ", "")
        if not message:  # the help has been shown instead
            return UsageError.exit_code
        error = NotBegun(message.rstrip(".\n"), hint=_remedy(message, asked))
    if asked.echo and isinstance(error, NotBegun):  # so nobody has read stdin
        with contextlib.suppress(OSError, WriteFailed):
            streams.echo(b"")
    if isinstance(error, BrokenPipeError):
        streams.abandon(sys.stdout)
        return PIPE
    if os.environ.get("DIFFU_DEBUG") and not isinstance(error, DiffuError):
        traceback.print_exception(error)
    known = error if isinstance(error, DiffuError) else _of_system(error)
    code = INTERNAL if known is None else known.exit_code
    known = known or _internal(error)
    if asked.json and not isinstance(known, NotPrinted):
        with contextlib.suppress(OSError, WriteFailed):
            streams.put(json.dumps(values_of(known, code)).encode() + b"\n")
            return code
    if not asked.silent:
        line(known, quiet=asked.quiet)
    return code


def _remedy(message: str, asked: Asked) -> str:
    """What helps against a mistake in the arguments."""
    if asked.command == "diffu gen" and message.startswith("Got unexpected extra argument"):
        return 'put the request in quotes: diffu gen "write a quicksort"'
    if asked.dashed and message.startswith("No such option"):
        return f'a text that begins with - follows --: {asked.command} -- "- sort a list"'
    return f"{asked.command} --help"


def _of_system(error: Exception) -> DiffuError | None:
    """What the system, its memory or its depth refuses to a command, as an error of the user's; None for a bug."""
    if isinstance(error, OSError):
        return _refusal(error)
    if is_out_of_memory(error):
        return NoRoom("memory ran out", hint=f"{LESS_MEMORY}, or a smaller file")
    if isinstance(error, ImportError):
        what = " ".join(str(error).split())[:MESSAGE_LENGTH]
        return ModelError(f"a library cannot be loaded ({what})", hint="diffu doctor checks them; see ulimit -v")
    if isinstance(error, RecursionError):
        return UsageError("the input is nested too deeply", hint="give a part of it")
    return None


def _refusal(error: OSError) -> DiffuError:
    """A file or a stream that the system refuses, wherever it was asked for it."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return UsageError(f"{os.fsdecode(error.filename)}: {reason}", hint="check the path and its permissions")
    try:
        flush()  # what could not be written is still there
        Path.cwd()
    except WriteFailed as refused:
        return refused
    except OSError:
        return UsageError("the current folder does not exist any more", hint="cd to another one")
    return UsageError(f"the system refuses it: {reason}", hint="set DIFFU_DEBUG=1 for the traceback")


def flush() -> None:
    """What is still in Python's buffer of stdout goes out, so that a failure to do so is one of the command."""
    streams.put(b"")


def _internal(error: Exception) -> DiffuError:
    """The line for what should not have happened."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return DiffuError(f"internal error: {what}", hint="set DIFFU_DEBUG=1 for the traceback")


def line(error: DiffuError, *, quiet: bool) -> None:
    """One line on stderr; of refused text also an excerpt, but for the quiet."""
    if isinstance(error, Unparsable) and not quiet:
        from diffucli.tasks.verify import Refused

        if isinstance(error, Refused) and error.check.excerpt:
            say_lines(error.check.excerpt)
    hint = f" ({error.hint})" if error.hint else ""
    say(f"diffu: {error.message}{hint}")


def values_of(error: DiffuError, code: int) -> dict[str, object]:
    """The object of --json for an error."""
    values: dict[str, object] = {"schema": "diffu.error/1", "status": code, "error": error.message, "hint": error.hint}
    if isinstance(error, Unparsable):
        from diffucli.tasks.attempt import FailedTest
        from diffucli.tasks.verify import Refused

        if isinstance(error, Refused):
            values |= {"text": error.text, "problems": places(error.check.diagnostics)}
        if isinstance(error, FailedTest):
            values |= {"text": error.text, "test": "failed"}
    return values
