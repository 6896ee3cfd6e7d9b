"""What an edit is to blame for: the errors of the new text that the old one did not have."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from diffucli.syntax.check import CheckResult, Diagnostic, check, parse_errors
from diffucli.syntax.compiler import SECONDS
from diffucli.syntax.faults import faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffucli.syntax.languages import Language

# What Python 2 allowed: of a text that has one of these, the errors behind the first are not looked for.
_PYTHON_2 = ("Missing parentheses in call to", "multiple exception types must be", "leading zeros in decimal")


def new_diagnostics(
    before: str | None,
    after: str,
    language: Language,
    *,
    seconds: float = SECONDS,
    fragment: bool = False,
    sound: bool = False,
) -> CheckResult:
    """Check `after`; its diagnostics are those that the edit introduced, and `old` those that `before` had too.

    Two diagnostics are equal if their messages and the stripped texts of their lines are equal, or their messages and
    the places of their lines within what the edit changed. They are counted, so a second copy of an old error is new.
    If `before` is None (a new file) or has no errors, every diagnostic of `after` is new. Replace each hole of `before`
    by a name such as `_` first; otherwise the error of the hole hides others.

    CPython's compiler stops at its first error, so it cannot compare two broken texts. In that case the errors count
    that are on a line that `before` did not have; if there are none, tree-sitter, which continues after an error,
    compares them. fragment: as in `check`. sound: Python outside of what was edited has no errors, so every one is new.
    """
    new = check(after, language, seconds=seconds, fragment=fragment)
    if before is None or new.ok or not new.checked or (sound and language.name == "python"):
        return new
    old = check(before, language, seconds=seconds, fragment=fragment)
    if not old.diagnostics:
        return new
    if language.name == "python":
        return _compared_python(before, after, language, new, seconds=seconds, fragment=fragment)
    return _split(new, _added(before, old, after, new))


def mended(
    before: str, after: str, language: Language, *, seconds: float = SECONDS, fragment: bool = False
) -> CheckResult:
    """Check an edit that is to mend `before`: the diagnostics of `after` are old if there are fewer than before."""
    new = check(after, language, seconds=seconds, fragment=fragment)
    if new.ok or not new.checked:
        return new
    left = _all(after, language, fragment=fragment) or new.diagnostics
    is_fewer = len(left) < len(faults(before, language, fragment=fragment))
    return replace(new, diagnostics=(), old=left) if is_fewer else replace(new, diagnostics=left)


def _compared_python(
    before: str, after: str, language: Language, new: CheckResult, *, seconds: float, fragment: bool
) -> CheckResult:
    all_new = _all(after, language, fragment=fragment) or new.diagnostics
    if any(one.message.startswith(_PYTHON_2) for one, _ in faults(before, language, fragment=fragment)):
        all_new = new.diagnostics
    unchanged = set(_stripped(before))
    lines = _stripped(after)
    fresh = tuple(one for one in all_new if lines[one.line - 1] not in unchanged)
    trees = [parse_errors(text, language, seconds=seconds) for text in (before, after)]
    if not fresh and all(tree.checked for tree in trees):
        fresh = _added(before, trees[0], after, trees[1])
    return _split(replace(new, diagnostics=all_new), fresh)


def _all(text: str, language: Language, *, fragment: bool) -> tuple[Diagnostic, ...]:
    """Every error of a text, as far as it can be found, by position."""
    return tuple(sorted((one for one, _ in faults(text, language, fragment=fragment)), key=lambda one: one.start))


def _split(new: CheckResult, fresh: tuple[Diagnostic, ...]) -> CheckResult:
    """`new` with the diagnostics that are `fresh`, and the others as old ones."""
    return replace(new, diagnostics=fresh, old=tuple(one for one in new.diagnostics if one not in fresh))


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"\r\n?|\n", text)]


def _added(before: str, old: CheckResult, after: str, new: CheckResult) -> tuple[Diagnostic, ...]:
    """The diagnostics of `after` that `before` does not have as many times."""
    was, lines = _stripped(before), _stripped(after)
    added = _beyond(new.diagnostics, lines, old.diagnostics, was)
    if len(was) != len(lines):
        return added
    gone = {(one.message, one.line) for one in _beyond(old.diagnostics, was, new.diagnostics, lines)}
    return tuple(one for one in added if (one.message, one.line) not in gone)


def _beyond(
    those: Iterable[Diagnostic], lines: Sequence[str], others: Iterable[Diagnostic], other_lines: Sequence[str]
) -> tuple[Diagnostic, ...]:
    """Those diagnostics that the others do not have as many times, by their messages and the texts of their lines."""
    left = Counter((one.message, other_lines[one.line - 1]) for one in others)
    beyond = []
    for one in those:
        key = one.message, lines[one.line - 1]
        left[key] -= 1
        if left[key] < 0:
            beyond.append(one)
    return tuple(beyond)
