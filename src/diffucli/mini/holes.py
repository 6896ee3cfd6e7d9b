"""Holes as people and repairs cut them into Python code: bodies, lines, expressions, names, operators, brackets.

Knows Python's syntax; does not know tokens.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

Range = tuple[int, int]  # start and end in characters
WEIGHTS: Mapping[str, int] = {  # how often each kind of hole is cut
    "body": 18,
    "block": 6,
    "line": 22,
    "lines": 10,
    "condition": 6,
    "value": 8,
    "returned": 9,
    "arguments": 5,
    "name": 5,
    "operator": 2,
    "element": 4,
    "small": 5,
    "part": 4,
    "tail": 7,
}
SMALL: Mapping[str, int] = {
    "name": 3,
    "operator": 2,
    "small": 4,
    "returned": 1,
    "value": 1,
    "condition": 1,
    "element": 1,
}
OPERATORS = frozenset(str.split("+ - * / // % ** < > <= >= == != += -= *= = . in not and or is"))
BRACKETS = frozenset("()[]{}:,")
WORD_END = re.compile(r"(?<=\w)(?!\w)|(?<!\w)(?=\w)|(?<=[^\w\s])(?=[^\w\s])")


def cut(rng: random.Random, code: str, weights: Mapping[str, int] = WEIGHTS) -> Range:
    """A random hole: its kind is drawn by `weights`, then one of that kind. `code` must be valid Python."""
    found = ranges(code)
    kinds = [kind for kind in weights if found.get(kind)]
    if not kinds:
        return 0, len(code.rstrip("\n"))
    (kind,) = rng.choices(kinds, [weights[kind] for kind in kinds])
    return rng.choice(found[kind])


def cut_several(rng: random.Random, code: str, count: int) -> list[Range]:
    """Up to `count` small holes in order that do not touch."""
    chosen: list[Range] = []
    for _ in range(count):
        start, stop = cut(rng, code, SMALL)
        if all(stop + 1 < other or start > end + 1 for other, end in chosen):
            chosen.append((start, stop))
    return sorted(chosen)


def ranges(code: str) -> dict[str, list[Range]]:
    """All possible holes in `code` by kind; a kind of which there are none may lack."""
    lines = code.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def at(row: int | None, column: int | None) -> int:
        """The character at a row (from 1) and a column in bytes."""
        assert row is not None
        assert column is not None
        return starts[row - 1] + len(lines[row - 1].encode()[:column].decode())

    found: dict[str, list[Range]] = {}
    for node in ast.walk(ast.parse(code)):
        for kind, first, last in _pieces(node):
            found.setdefault(kind, []).append(
                (at(first.lineno, first.col_offset), at(last.end_lineno, last.end_col_offset))
            )
        if isinstance(node, ast.Call):
            start = at(node.func.end_lineno, node.func.end_col_offset) + 1
            stop = at(node.end_lineno, node.end_col_offset) - 1
            found.setdefault("arguments", []).append((start, stop))
    for kind, start, stop in (*_tokens(code, starts), *_lines(lines, starts)):
        found.setdefault(kind, []).append((start, stop))
    return {kind: [each for each in some if each[0] < each[1]] for kind, some in found.items()}


def _pieces(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    """The holes that a node gives: kind, first and last node."""
    match node:
        case ast.FunctionDef(body=body) | ast.ClassDef(body=body):
            rest = body[1:] if len(body) > 1 and _is_docstring(body[0]) else body
            yield "body", rest[0], rest[-1]
        case ast.For(body=body) | ast.With(body=body) | ast.Try(body=body) | ast.ExceptHandler(body=body):
            yield "block", body[0], body[-1]
        case ast.If(body=body) | ast.While(body=body):
            yield "block", body[0], body[-1]
    for kind, each in _expressions(node):
        yield kind, each, each


def _expressions(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The expressions of a node that are holes, with their kind."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "condition", test
        case ast.Return(value=ast.expr() as value):
            yield "returned", value
        case ast.Assign(value=value) | ast.AugAssign(value=value):
            yield "value", value
        case ast.Call(args=args):
            yield from (("element", each) for each in args)
        case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element) | ast.SetComp(elt=element):
            yield from (("element", each) for each in (element, *_clauses(node)))
        case ast.DictComp(key=key, value=value):
            yield from (("element", each) for each in (key, value, *_clauses(node)))
        case ast.Subscript(slice=value):
            yield "element", value


def _clauses(node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) -> Iterator[ast.expr]:
    for each in node.generators:
        yield each.iter
        yield from each.ifs


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _tokens(code: str, starts: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Names, operators, brackets and keywords."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        place = start, start + len(token.string)
        if token.string in OPERATORS:
            yield "operator", *place
        if token.string in BRACKETS or (token.type == tokenize.NAME and keyword.iskeyword(token.string)):
            yield "small", *place
        elif token.type == tokenize.NAME:
            yield "name", *place


def _lines(lines: Sequence[str], starts: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Lines without their indentation, two to four lines, and parts of lines between word boundaries."""
    for i, line in enumerate(lines):
        start, stop = starts[i] + len(line) - len(line.lstrip(" ")), starts[i] + len(line.rstrip())
        if start >= stop:
            continue
        yield "line", start, stop
        ends = [starts[j] + len(lines[j].rstrip()) for j in range(i + 1, min(i + 4, len(lines))) if lines[j].strip()]
        yield from (("lines", start, end) for end in ends)
        places = (starts[i] + found.start() for found in WORD_END.finditer(line))
        words = [place for place in places if start < place < stop]
        yield from (("tail", word, stop) for word in words)
        yield from (("part", a, b) for n, a in enumerate(words) for b in words[n + 1 :])
