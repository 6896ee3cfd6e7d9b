"""CPython's compiler on a text, with a limit of time. Compiling executes nothing, but cannot be interrupted.

A text for which the compiler may take long is compiled in a child process, which can be stopped. This file is its
program, and imports the standard library alone so that the child starts within hundredths of a second.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import warnings

Error = tuple[int, int, str]  # start, stop, message; offsets in characters
SECONDS = 4.0  # for one parse of a text
# What is compiled right here: the compiler takes quadratic time for an expression with many parts, 1 s for 50,000
# characters, and doubles its work with each `finally` in a `finally`.
MAX_CHARACTERS, MAX_FINALLY = 50_000, 5
_CONTINUED = re.compile(r"\\[\r\n]+[ \t\f]*finally")  # the text before it does not tell its indentation


def errors(text: str, name: str, flags: int = 0, *, seconds: float = SECONDS) -> list[Error] | None:
    """CPython's first error, if any; None if the compiler takes longer than `seconds`.

    flags: of `compile`, such as ast.PyCF_ONLY_AST. A byte order mark is an error.
    """
    if len(text) <= MAX_CHARACTERS and _nested_finally(text) <= MAX_FINALLY:
        return compiled(text, name, flags)
    try:
        child = subprocess.run(  # noqa: S603 — our own program
            [sys.executable, "-I", "-S", __file__],
            input=json.dumps([text, name, flags]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return [(start, stop, message) for start, stop, message in json.loads(child.stdout)]


def _nested_finally(text: str) -> int:
    """How many `finally` clauses are at most nested in each other: as many as have another text before them."""
    if (count := text.count("finally")) <= MAX_FINALLY or _CONTINUED.search(text):
        return count
    return len({line.partition("finally")[0] for line in text.splitlines() if "finally" in line})


def compiled(text: str, name: str, flags: int) -> list[Error]:
    """CPython's first error, if any, however long that takes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, name, "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        return [_place(text, error)]
    except UnicodeEncodeError as error:
        return [(error.start, error.end, "a lone surrogate cannot stand in source code")]
    except ValueError as error:  # a null byte, before Python 3.12
        return [(max(text.find("\0"), 0), max(text.find("\0"), 0) + 1, str(error))]
    except (RecursionError, MemoryError, OverflowError) as error:
        return [(0, 0, f"too deeply nested for the compiler ({type(error).__name__})")]
    return []


def line_starts(text: str) -> list[int]:
    """The offset of each line."""
    return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]


def _place(text: str, error: SyntaxError) -> Error:
    starts = line_starts(text)
    message = error.msg
    if error.lineno is None:  # only the error about a null byte has no line
        at = max(text.find("\0"), 0)
        return at, min(at + 1, len(text)), message
    in_bytes = not text.isascii() and _parses(text)  # the parser counts characters, the later stages bytes
    start = _at(text, starts, (error.lineno, error.offset or 1), in_bytes=in_bytes)
    stop = start + (start < len(text) and text[start] not in "\r\n")
    if error.end_lineno and error.end_offset and error.end_offset > 0:
        stop = max(stop, _at(text, starts, (error.end_lineno, error.end_offset), in_bytes=in_bytes))
    return start, stop, message


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _at(text: str, starts: list[int], point: tuple[int, int], *, in_bytes: bool) -> int:
    """The character offset of a 1-based line and column, clamped to that line."""
    line = min(max(point[0], 1), len(starts)) - 1
    start, stop = starts[line], starts[line + 1] if line + 1 < len(starts) else len(text)
    column = max(point[1] - 1, 0)
    if in_bytes:
        column = len(text[start:stop].encode("utf-8")[:column].decode("utf-8", "ignore"))
    return min(start + column, stop)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compiled(*json.load(sys.stdin))))
