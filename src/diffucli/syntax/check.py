"""What does not parse in a text: Python by its own compiler, the other languages by tree-sitter.

Knows nothing of files, holes or models. A language whose grammar is missing has no verdict, and no verdict is no pass.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.syntax import languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tree_sitter

    from diffucli.syntax.languages import Language

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(_PAIRS.values())
_SHOWN = 24  # characters of an unexpected text that a message quotes
_Found = tuple[int, int, str]  # start and stop in characters, message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not parse.

    line, column: 1-based, in characters. start, stop: half-open character offsets; equal where something is missing.
    """

    line: int
    column: int
    message: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. known: whether it could judge at all; if not, `note` says why and there are no problems."""

    known: bool
    problems: tuple[Problem, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.known and not self.problems


def check(text: str, language: Language, *, name: str = "<text>", seconds: float = 2.0) -> Verdict:
    """The problems of a whole text, leftmost first.

    For Python the compiler decides, and it tells of its first error only. name: the file's name, for the compiler.
    seconds: how long tree-sitter may take; beyond it the verdict is not known.
    """
    body = text.removeprefix("\ufeff")
    if language.name == "python":
        return _verdict(text, len(text) - len(body), _compile(body, name))
    return _check_tree(text, language, seconds)


def new_problems(before: str | None, after: str, language: Language, *, seconds: float = 2.0) -> Verdict:
    """The problems of `after` that an edit of `before` is to blame for: those that `before` did not have.

    Two problems are the same if their messages and the stripped texts of their lines are; they are counted, so a second
    copy is new. If `before` had none (or is None) every problem of `after` counts: pass None for a new file, and where
    `before` has holes replace each by a name such as `_` first, so that a hole's own error hides nothing.

    Python's compiler stops at its first error, so in a file that was already broken it cannot tell new from old. There
    its error counts if it stands on a line that `before` did not have, and tree-sitter, which reads on after an error,
    is asked about the rest.
    """
    now = check(after, language, seconds=seconds)
    if before is None or now.ok or not now.known:
        return now
    old = check(before, language, seconds=seconds)
    if not old.problems:
        return now
    if language.name != "python":
        return Verdict(known=True, problems=tuple(_added(before, old, after, now)))
    kept = _stripped(before)
    written = tuple(problem for problem in now.problems if _stripped(after)[problem.line - 1] not in kept)
    trees = _check_tree(before, language, seconds), _check_tree(after, language, seconds)
    if written or not all(tree.known for tree in trees):
        return Verdict(known=True, problems=written)
    return Verdict(known=True, problems=tuple(_added(before, trees[0], after, trees[1])))


def is_substantial(text: str, language: Language) -> bool:
    """Whether a text is more than names, literals and comments: one bare word is a valid Python program.

    Says nothing of whether it parses, except that Python which does not is never substantial. Without a grammar any
    text that is not blank will do.
    """
    if language.name == "python":
        return _is_substantial_python(text)
    tree = languages.parse(text, language)
    if tree is None:
        return bool(text.strip())
    return any(_is_composed(node) for node in _nodes(tree.root_node) if node.parent is not None)


def _is_composed(node: tree_sitter.Node) -> bool:
    """A definition, call or element has a named part below it; a word, literal or comment has none."""
    if not node.is_named or node.is_error or node.type in _BARE:
        return False
    return any(child.is_named and child.type != "command_name" for child in node.children)


_BARE = frozenset({"expression_statement", "global_statement", "command_name", "string", "template_string"})
_ACTS = (
    ast.Call,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.NamedExpr,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _is_substantial_python(text: str) -> bool:
    if _compile(text.removeprefix("\ufeff"), "<text>"):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ast.parse(text.removeprefix("\ufeff")).body
    return any(
        any(isinstance(node, _ACTS) for node in ast.walk(statement))
        if isinstance(statement, ast.Expr)
        else not isinstance(statement, ast.Pass)
        for statement in body
    )


def _compile(text: str, name: str) -> list[_Found]:
    """CPython's first complaint, if any; compiling runs nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        return [_place(text, error)]
    except UnicodeEncodeError as error:
        return [(error.start, error.end, "a lone surrogate cannot stand in source code")]
    except ValueError as error:  # a null byte, before Python 3.12
        return [(max(text.find("\0"), 0), max(text.find("\0"), 0) + 1, str(error))]
    except (RecursionError, MemoryError, OverflowError) as error:
        return [(0, 0, f"too deeply nested for the compiler ({type(error).__name__})")]
    return []


def _place(text: str, error: SyntaxError) -> _Found:
    starts = _line_starts(text)
    message = error.msg
    if error.lineno is None:  # only a null byte has no line
        at = max(text.find("\0"), 0)
        return at, min(at + 1, len(text)), message
    in_bytes = not text.isascii() and _parses(text)  # the compiler proper counts bytes, the parser before it characters
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
    """The character offset of a 1-based line and column, kept within that line."""
    line = min(max(point[0], 1), len(starts)) - 1
    start, stop = starts[line], starts[line + 1] if line + 1 < len(starts) else len(text)
    column = max(point[1] - 1, 0)
    if in_bytes:
        column = len(text[start:stop].encode("utf-8")[:column].decode("utf-8", "ignore"))
    return min(start + column, stop)


def _check_tree(text: str, language: Language, seconds: float) -> Verdict:
    if languages.grammar(language) is None:
        return Verdict(known=False, note=f"not checked: no grammar for {language.name} is installed")
    tree = languages.parse(text, language, seconds=seconds)
    if tree is None:
        return Verdict(known=False, note=f"not checked: the parser took longer than {seconds:g} s")
    offset = languages.characters(text)
    found = [(offset(start), offset(stop), message) for start, stop, message in _errors(tree.root_node)]
    return _verdict(text, 0, found)


def _nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def _errors(root: tree_sitter.Node) -> Iterator[_Found]:
    """Errors in bytes. A node that has an error which none of its visible children has is reported itself."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "erroneous_end_tag":
            yield node.start_byte, node.end_byte, f"unexpected `{_quote(node)}`"
        if not (node.has_error or node.is_error):
            continue
        opener = _unclosed(node) if node.is_error else None
        inner = [child for child in node.children if _is_wrong(child)]
        if opener is not None:
            yield opener.start_byte, opener.end_byte, f"unclosed `{opener.type}`"
        elif node.is_missing:
            yield (
                node.start_byte,
                node.start_byte,
                f"missing {node.type}" if node.is_named else f"missing `{node.type}`",
            )
        elif node.is_error and not inner:
            yield node.start_byte, node.end_byte, f"unexpected `{_quote(node)}`"
        elif not inner:
            yield node.end_byte, node.end_byte, f"unfinished {node.type.replace('_', ' ')}"
        else:
            stack.extend(reversed(inner))


def _is_wrong(node: tree_sitter.Node) -> bool:
    return node.has_error or node.is_error or node.type == "erroneous_end_tag"


def _unclosed(error: tree_sitter.Node) -> tree_sitter.Node | None:
    """The first bracket in an error that nothing in it closes."""
    opened: list[tree_sitter.Node] = []
    for child in error.children:
        for token in child.children if child.is_error else [child]:
            if token.type in _PAIRS:
                opened.append(token)
            elif token.type in _CLOSERS and opened and _PAIRS[opened[-1].type] == token.type:
                opened.pop()
    return opened[0] if opened else None


def _quote(node: tree_sitter.Node) -> str:
    line = (node.text or b"").decode("utf-8", "replace").strip().partition("\n")[0].strip()
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]


def _verdict(text: str, shift: int, found: list[_Found]) -> Verdict:
    starts = _line_starts(text)
    problems = []
    for start, stop, message in sorted(found):
        line = bisect_right(starts, start + shift)
        column = start + shift - starts[line - 1] + 1
        problems.append(Problem(line, column, message, start + shift, stop + shift))
    return Verdict(known=True, problems=tuple(problems))


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"\r\n?|\n", text)]


def _added(before: str, old: Verdict, after: str, now: Verdict) -> Iterator[Problem]:
    lines = _stripped(before)
    left = Counter((problem.message, lines[problem.line - 1]) for problem in old.problems)
    lines = _stripped(after)
    for problem in now.problems:
        key = problem.message, lines[problem.line - 1]
        if left[key] > 0:
            left[key] -= 1
        else:
            yield problem
