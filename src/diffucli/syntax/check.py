"""Syntax diagnostics: Python is checked by its own compiler, every other language by tree-sitter.

Knows nothing of files, holes or models. Without a grammar a text is reported as not checked, which is never a pass.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.syntax import languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tree_sitter

    from diffucli.syntax.languages import Language

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(_PAIRS.values())
_SHOWN = 24  # characters of an unexpected text that a message quotes
_Error = tuple[int, int, str]  # start, stop, message


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One syntax error.

    line, column: 1-based, in characters. start, stop: half-open character offsets; equal if something is missing there.
    """

    line: int
    column: int
    message: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. checked: False if the text could not be checked; `note` then says why."""

    checked: bool
    diagnostics: tuple[Diagnostic, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.checked and not self.diagnostics


def check(text: str, language: Language, *, name: str = "<text>", seconds: float = 2.0) -> CheckResult:
    """Check a whole text; the diagnostics are sorted by position.

    CPython's compiler reports its first error only. name: the file name passed to the compiler. seconds: time limit for
    tree-sitter; past it the text counts as not checked.
    """
    body = text.removeprefix("\ufeff")
    if language.name == "python":
        return _result(text, len(text) - len(body), _compile(body, name))
    return _check_tree(text, language, seconds)


def new_diagnostics(before: str | None, after: str, language: Language, *, seconds: float = 2.0) -> CheckResult:
    """Check `after` and keep only the diagnostics that the edit introduced, i.e. those that `before` did not have.

    Two diagnostics are equal if their messages and the stripped texts of their lines are equal. They are counted, so a
    second copy of an old error is new. If `before` is None (a new file) or has no errors, every diagnostic of `after`
    is kept. Replace each hole of `before` by a name such as `_` first; otherwise the error of the hole hides others.

    CPython's compiler stops at its first error, so it cannot compare two broken texts. In that case its error counts if
    it is on a line that `before` did not have; if not, tree-sitter, which continues after an error, compares them.
    """
    new = check(after, language, seconds=seconds)
    if before is None or new.ok or not new.checked:
        return new
    old = check(before, language, seconds=seconds)
    if not old.diagnostics:
        return new
    if language.name != "python":
        return replace(new, diagnostics=_added(before, old, after, new))
    unchanged = set(_stripped(before))
    on_new_lines = tuple(one for one in new.diagnostics if _stripped(after)[one.line - 1] not in unchanged)
    trees = _check_tree(before, language, seconds), _check_tree(after, language, seconds)
    if on_new_lines or not all(tree.checked for tree in trees):
        return replace(new, diagnostics=on_new_lines)
    return replace(new, diagnostics=_added(before, trees[0], after, trees[1]))


def parse_errors(text: str, language: Language, *, seconds: float = 2.0) -> CheckResult:
    """All that tree-sitter finds, also in Python, where it may find nothing although the compiler does."""
    return _check_tree(text, language, seconds)


def diagnostic(text: str, start: int, stop: int, message: str) -> Diagnostic:
    """A diagnostic of the characters `start` … `stop` (half-open) of `text`."""
    (found,) = _result(text, 0, [(start, stop, message)]).diagnostics
    return found


def is_substantial(text: str, language: Language) -> bool:
    """Whether a text has more than names, literals and comments: a bare word of prose is a valid Python program.

    Python that does not parse is not substantial; other languages are not checked for errors. Without a grammar every
    text that is not blank is substantial.
    """
    if language.name == "python":
        return _is_substantial_python(text)
    tree = languages.parse(text, language)
    if tree is None:
        return bool(text.strip())
    return any(_is_composed(node) for node in _nodes(tree.root_node) if node.parent is not None)


def _is_composed(node: tree_sitter.Node) -> bool:
    """Whether a node has named children, as a definition, call or element does; a word, literal or comment does not."""
    if not node.is_named or node.is_error or node.type in _BARE:
        return False
    return any(child.is_named and child.type != "command_name" for child in node.children)


_BARE = frozenset({"expression_statement", "command_name", "string", "template_string"})
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


def _compile(text: str, name: str) -> list[_Error]:
    """CPython's first error, if any. Compiling executes nothing."""
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


def _place(text: str, error: SyntaxError) -> _Error:
    starts = _line_starts(text)
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


def _check_tree(text: str, language: Language, seconds: float) -> CheckResult:
    if languages.grammar(language) is None:
        return CheckResult(checked=False, note=f"not checked: no grammar for {language.name} is installed")
    tree = languages.parse(text, language, seconds=seconds)
    if tree is None:
        return CheckResult(checked=False, note=f"not checked: the parser took longer than {seconds:g} s")
    offset = languages.characters(text)
    found = [(offset(start), offset(stop), message) for start, stop, message in _errors(tree.root_node)]
    return _result(text, 0, found)


def _nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def _errors(root: tree_sitter.Node) -> Iterator[_Error]:
    """Errors with byte offsets. A node is reported itself if it has an error that none of its children has."""
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
    """The first bracket in an error node that is not closed within the node."""
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


def _result(text: str, shift: int, errors: list[_Error]) -> CheckResult:
    """A result of errors in character offsets, which are `shift` less than those in `text`."""
    starts = _line_starts(text)
    diagnostics = []
    for start, stop, message in sorted(errors):
        line = bisect_right(starts, start + shift)
        column = start + shift - starts[line - 1] + 1
        diagnostics.append(Diagnostic(line, column, message, start + shift, stop + shift))
    return CheckResult(checked=True, diagnostics=tuple(diagnostics))


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"\r\n?|\n", text)]


def _added(before: str, old: CheckResult, after: str, new: CheckResult) -> tuple[Diagnostic, ...]:
    """The diagnostics of `after` that `before` does not have as many times."""
    lines = _stripped(before)
    left = Counter((diagnostic.message, lines[diagnostic.line - 1]) for diagnostic in old.diagnostics)
    lines = _stripped(after)
    added = []
    for diagnostic in new.diagnostics:
        key = diagnostic.message, lines[diagnostic.line - 1]
        if left[key] > 0:
            left[key] -= 1
        else:
            added.append(diagnostic)
    return tuple(added)
