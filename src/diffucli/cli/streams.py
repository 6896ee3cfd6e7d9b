"""Standard input and output as bytes: when to read, and the same bytes to a pipe, a file and a terminal."""

from __future__ import annotations

import os
import select
import stat
import sys
from pathlib import Path

from diffucli.errors import UsageError

PATIENCE = 2.0  # seconds of silence on stdin before a word about it


def stdin_is_given() -> bool:
    """Whether stdin is a pipe or a file, which are read without being asked for; never a terminal or device."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def read_stdin() -> bytes:
    """All of stdin; says so on a terminal when nothing comes for a while."""
    descriptor = sys.stdin.fileno()
    if sys.stderr.isatty() and os.name == "posix" and not select.select([descriptor], [], [], PATIENCE)[0]:
        print("diffu: waiting for stdin (end it with ctrl-d, or give </dev/null)", file=sys.stderr)
    return sys.stdin.buffer.read()


def text_of_stdin() -> str:
    """Stdin as UTF-8 text; UsageError where it is none."""
    try:
        return read_stdin().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError("stdin is not UTF-8 text", hint="pipe text, or name a file") from exc


def put(data: bytes) -> None:
    """`data` on stdout, whole."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def stderr_is_quiet() -> bool:
    """Whether stderr goes to an editor or a file, where a filter's words may land in the text."""
    return not sys.stderr.isatty()


def refuse_own_output(path: Path) -> None:
    """UsageError where stdout is the file that is read: the shell has emptied it already."""
    try:
        out, read = os.fstat(sys.stdout.fileno()), path.stat()
    except (OSError, ValueError, AttributeError):
        return
    if stat.S_ISREG(out.st_mode) and (out.st_dev, out.st_ino) == (read.st_dev, read.st_ino):
        raise UsageError(f"stdout is {path} itself, which the shell empties before it is read", hint="use -w")
