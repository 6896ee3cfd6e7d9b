"""Python's own compiler as the judge of a text, which may be part of a function or class.

Knows Python only; offsets are in characters.
"""

from __future__ import annotations

import ast
import re

from diffucli.syntax import compiler
from diffucli.syntax.compiler import SECONDS, Error
from diffucli.syntax.statements import Statement, statements

_LINE = re.compile(r"(?<= line )[0-9]+")


def errors(text: str, name: str = "<text>", *, fragment: bool = False, seconds: float = SECONDS) -> list[Error] | None:
    """CPython's first error, if any; None if the compiler takes longer than `seconds`.

    fragment: `text` may be part of a function or class, at its indentation there: `return`, `await` and `break` may
    stand anywhere. A byte order mark is an error.
    """
    if not fragment:
        return compiler.errors(text, name, seconds=seconds)
    heads = _heads(text)
    found = compiler.errors(heads + text, name, ast.PyCF_ONLY_AST, seconds=seconds)
    if found is None:
        return None
    above = heads.count("\n")
    return [
        (max(start - len(heads), 0), max(stop - len(heads), 0), _LINE.sub(lambda n: str(int(n[0]) - above), message))
        for start, stop, message in found
    ]


def is_fragment(text: str) -> bool:
    """Whether `text` parses as part of a function or class only, or starts with an indentation as such a part does."""
    found = statements(text)
    if found and found[0].indent:
        return True
    return bool(errors(text)) and errors(text, fragment=True) == []


def _heads(text: str) -> str:
    """Lines that open the blocks which the statements of a fragment close, and the one in which it begins."""
    found = statements(text)
    lowest: list[Statement] = []  # each is further to the left than all before it
    for statement in found:
        if not lowest or statement.indent < lowest[-1].indent:
            lowest.append(statement)
    heads = []
    if lowest and lowest[-1].indent:
        heads.append("if _:\n")
    for statement in reversed(lowest[1:]):
        indentation = text[statement.line : statement.start]
        heads.append(f"{indentation}{'try' if statement.first in _HANDLERS else 'if _'}:\n")
    if lowest and lowest[0].first in _HANDLERS | _BRANCHES:
        head = "try" if lowest[0].first in _HANDLERS else "if _"
        heads.append(f"{text[lowest[0].line : lowest[0].start]}{head}: _\n")
    return "".join(heads)


_HANDLERS = frozenset({"except", "finally"})
_BRANCHES = frozenset({"else", "elif"})
