"""Python's own compiler as the judge of a text. Compiling executes nothing.

Knows Python only; offsets are in characters.
"""

from __future__ import annotations

import ast
import re
import warnings

from diffucli.syntax.statements import Statement, statements

Error = tuple[int, int, str]  # start, stop, message
_LINE = re.compile(r"(?<= line )[0-9]+")


def errors(text: str, name: str = "<text>", *, fragment: bool = False) -> list[Error]:
    """CPython's first error, if any.

    fragment: `text` may be part of a function or class, at its indentation there: `return`, `await` and `break` may
    stand anywhere. A byte order mark is an error.
    """
    if not fragment:
        return _errors(text, name)
    heads = _heads(text)
    found = _errors(heads + text, name, flags=ast.PyCF_ONLY_AST)
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
    return bool(errors(text)) and not errors(text, fragment=True)


def line_starts(text: str) -> list[int]:
    """The offset of each line."""
    return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]


def _errors(text: str, name: str, flags: int = 0) -> list[Error]:
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
