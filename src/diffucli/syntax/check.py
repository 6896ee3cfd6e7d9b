"""Syntax diagnostics: a text is judged by its own language where that is at hand, else by tree-sitter and some rules.

`judges.py` says who judges which language. Knows nothing of files, holes or models. Without a judge a text is reported
as not checked, which is never a pass.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.syntax import compiler, cpython, judges, languages, newer, trees
from diffucli.syntax.compiler import SECONDS

if TYPE_CHECKING:
    import tree_sitter

    from diffucli.syntax.compiler import Error
    from diffucli.syntax.languages import Language


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
    """The result of a check. checked: False if the text could not be checked.

    note: why it could not be checked, or what else is to be known of the verdict.

    diagnostics: of an edit only those that it is to blame for. old: of an edit those that the text had before.
    """

    checked: bool
    diagnostics: tuple[Diagnostic, ...] = ()
    note: str = ""
    old: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is nothing to blame the text, or the edit, for."""
        return self.checked and not self.diagnostics

    @property
    def parses(self) -> bool | None:
        """Whether the text parses; None if it was not checked."""
        return self.ok and not self.old if self.checked else None


def check(
    text: str, language: Language, *, name: str = "<text>", seconds: float = SECONDS, fragment: bool = False
) -> CheckResult:
    """Check a whole text; the diagnostics are sorted by position.

    CPython's compiler reports its first error only. name: the file name passed to the compiler. seconds: time limit;
    past it the text counts as not checked. fragment: Python may be part of a function or class, at its
    indentation there.
    """
    if language.name == "python":
        return _check_python(text, name, fragment=fragment, seconds=seconds)
    if languages.grammar(language) is None:
        return CheckResult(checked=False, note=f"not checked: no grammar for {language.name} is installed")
    found = judges.errors(text, language, fragment=fragment, seconds=seconds)
    if found is None:
        return CheckResult(checked=False, note=f"not checked: the parser took longer than {seconds:g} s")
    return _result(text, 0, found)


def _check_python(text: str, name: str, *, fragment: bool, seconds: float) -> CheckResult:
    """Check Python; forms that the interpreter is too old for are no errors, but told."""
    body, note = text.removeprefix("\ufeff"), ""
    found = cpython.errors(body, name, fragment=fragment, seconds=seconds)
    if found and (older := newer.older(body, seconds=seconds)):
        again = cpython.errors(older, name, fragment=fragment, seconds=seconds)
        if again is not None and found != again:
            found, note = again, f"judged by Python {newer.version()}, for which the text is too new"
    if found is None:
        return CheckResult(checked=False, note=f"not checked: the compiler took longer than {seconds:g} s")
    return replace(_result(text, len(text) - len(body), found), note=note)


def parse_errors(text: str, language: Language, *, seconds: float = SECONDS) -> CheckResult:
    """All that tree-sitter finds, also in Python, where it may find nothing although the compiler does."""
    if languages.grammar(language) is None:
        return CheckResult(checked=False, note=f"not checked: no grammar for {language.name} is installed")
    found = judges.by_grammar(text, language, seconds=seconds)
    if found is None:
        return CheckResult(checked=False, note=f"not checked: the parser took longer than {seconds:g} s")
    return _result(text, 0, found)


def diagnostic(text: str, start: int, stop: int, message: str) -> Diagnostic:
    """A diagnostic of the characters `start` … `stop` (half-open) of `text`."""
    (found,) = _result(text, 0, [(start, stop, message)]).diagnostics
    return found


def is_substantial(text: str, language: Language) -> bool:
    """Whether a text has more than names, literals and comments: a bare word of prose is a valid Python program.

    Python that does not parse is not substantial; other languages are not checked for errors. A text that cannot be
    parsed for want of a grammar or of time is substantial unless it is blank.
    """
    if language.name == "python":
        return _is_substantial_python(text.removeprefix("\ufeff"))
    tree = languages.parse(text, language)
    if tree is None:
        return bool(text.strip())
    return any(_is_composed(node) for node in trees.nodes(tree.root_node) if node.parent is not None)


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
    found = cpython.errors(text)
    if found is None or len(text) > compiler.MAX_CHARACTERS:
        return not found and bool(text.strip())
    if found:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ast.parse(text).body
    return any(
        any(isinstance(node, _ACTS) for node in ast.walk(statement))
        if isinstance(statement, ast.Expr)
        else not isinstance(statement, ast.Pass)
        for statement in body
    )


def _result(text: str, shift: int, errors: list[Error]) -> CheckResult:
    """A result of errors in character offsets, which are `shift` less than those in `text`."""
    starts, diagnostics = compiler.line_starts(text), []
    end = len(re.sub(r"(\r\n?|\n)\Z", "", text))  # behind the last newline there is no line
    for start, stop, message in sorted(errors):
        at = min(start + shift, end)
        line = bisect_right(starts, at)
        column = at - starts[line - 1] + 1
        diagnostics.append(Diagnostic(line, column, message, start + shift, stop + shift))
    return CheckResult(checked=True, diagnostics=tuple(diagnostics))
