"""What a command that fails says, and its exit code: one line on stderr, an object on stdout where --json asks for it.

A filter that fails echoes its input, and is silent where stderr may land in the text.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from diffucli.cli import streams
from diffucli.cli.report import places, say
from diffucli.errors import DiffuError, UsageError, WriteFailed
from diffucli.tasks.attempt import FailedTest
from diffucli.tasks.verify import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERNAL = 70  # EX_SOFTWARE of sysexits.h
PIPE = 141  # what a shell makes of SIGPIPE


@dataclass(frozen=True, slots=True)
class Asked:
    """What the arguments of a failed command ask for, as far as they can be read.

    command: such as "diffu model show". echo: it is a filter whose input must come out again.
    """

    command: str
    json: bool = False
    quiet: bool = False
    silent: bool = False
    echo: bool = False


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
        json=bool(given.get("--json")),
        quiet=bool(given.get("--quiet")),
        silent=is_filter and not given.get("--verbose") and not sys.stderr.isatty(),
        echo=is_filter and given.get("--on-fail") != "empty",
    )


def tell(error: Exception, asked: Asked) -> int:
    """Says what went wrong as it was asked for; the exit code."""
    if isinstance(error, typer.TyperException):
        message = error.format_message().replace("Value error, ", "")
        if not message:  # the help has been shown instead
            return UsageError.exit_code
        error = UsageError(message.rstrip(".\n"), hint=f"{asked.command} --help")
        if asked.echo:  # the command did not come to run, so nobody has read stdin
            streams.echo(b"")
    if isinstance(error, BrokenPipeError):
        streams.abandon_stdout()
        return PIPE
    known = error if isinstance(error, DiffuError) else _internal(error)
    code = known.exit_code if isinstance(error, DiffuError) else INTERNAL
    if asked.json:
        with contextlib.suppress(OSError, WriteFailed):
            streams.put(_object(known, code))
    if not asked.silent:
        _line(known, quiet=asked.quiet)
    return code


def flush() -> None:
    """What is still in Python's buffer of stdout goes out, so that a failure to do so is one of the command."""
    streams.put(b"")


def _internal(error: Exception) -> DiffuError:
    """The line for what should not have happened."""
    if os.environ.get("DIFFU_DEBUG"):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return DiffuError(f"internal error: {what}", hint="set DIFFU_DEBUG=1 for the traceback")


def _line(error: DiffuError, *, quiet: bool) -> None:
    if isinstance(error, Refused) and error.check.excerpt and not quiet:
        say(error.check.excerpt)
    hint = f" ({error.hint})" if error.hint else ""
    say(f"diffu: {error.message}{hint}".replace("\n", "\\n"))


def _object(error: DiffuError, code: int) -> bytes:
    values: dict[str, object] = {"schema": "diffu.error/1", "status": code, "error": error.message, "hint": error.hint}
    if isinstance(error, Refused):
        values |= {"text": error.text, "problems": places(error.check.diagnostics)}
    if isinstance(error, FailedTest):
        values |= {"text": error.text, "test": "failed"}
    return json.dumps(values).encode() + b"\n"
