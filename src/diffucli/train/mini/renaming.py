"""Parameters under other names that people give them, so that a hole is filled in the words of the code around it.

Knows Python's syntax; nothing of tasks or holes.
"""

from __future__ import annotations

import ast
import io
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

KINDS = tuple(
    names.split()
    for names in (
        "numbers items values xs nums data lst arr seq a array elements",
        "words strings names texts items xs values",
        "text s string word line txt sentence",
        "n x num number value k m",
        "d data dictionary mapping table",
        "path filename file_path file_name",
        "matrix grid rows m table",
        "first a x left one",
        "second b y right other",
    )
)


def rename(rng: random.Random, code: str) -> str:
    """`code`, Python that parses, with the parameters of its functions renamed where another name is at hand."""
    tree = ast.parse(code)
    taken = _names(tree)
    fixed = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    fixed |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    new: dict[str, str] = {}
    for name in sorted({node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} - fixed):
        kinds = [kind for kind in KINDS if name in kind]
        free = sorted({other for kind in kinds for other in kind} - taken - set(new.values()))
        if free:
            new[name] = rng.choice(free)
    return _replaced(code, new)


def _names(tree: ast.AST) -> set[str]:
    """Every name that `code` binds or reads."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
    return found


def _replaced(code: str, new: dict[str, str]) -> str:
    lines = code.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(code).readline))):
        if token.type == tokenize.NAME and token.string in new:
            row, column = token.start[0] - 1, token.start[1]
            lines[row] = lines[row][:column] + new[token.string] + lines[row][column + len(token.string) :]
    return "".join(lines)
