"""Undefined names in Python code, found by pyflakes."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def undefined(before: str, after: str) -> tuple[tuple[int, int, str], ...]:
    """The names that `after` uses, nothing defines, and `before` did not use undefined: start, stop, name.

    Offsets are of characters. Nothing for a text that does not parse.
    """
    found = list(_undefined(after))
    if not found:
        return ()
    known = {name for _, _, name in _undefined(before)}
    return tuple(one for one in found if one[2] not in known)


def _undefined(text: str) -> Iterator[tuple[int, int, str]]:
    from pyflakes.checker import Checker
    from pyflakes.messages import UndefinedLocal, UndefinedName

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.removeprefix("\ufeff"))
            messages = Checker(tree).messages
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for message in messages:
        if isinstance(message, UndefinedName | UndefinedLocal):
            name = str(message.message_args[0])
            line = lines[message.lineno - 1]
            column = len(line.encode()[: message.col].decode(errors="ignore"))
            start = line.find(name, column)
            start = starts[message.lineno - 1] + (column if start < 0 else start)
            yield start, start + len(name), name
