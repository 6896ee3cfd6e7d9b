"""What an edit is to blame for: the errors of the new text that the old one did not have."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from diffucli.syntax.check import CheckResult, Diagnostic, check, parse_errors
from diffucli.syntax.compiler import SECONDS
from diffucli.syntax.faults import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from diffucli.syntax.languages import Language

_PREPROCESSED = frozenset({"c", "cpp"})
_QUOTED = re.compile(r"`[^`]*`|\u2018[^\u2019]*\u2019|'[^']*'")  # what a message quotes says nothing of its kind
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

    Two diagnostics are equal if their messages and the stripped texts of their lines are equal, or if they are of one
    kind on one line: counted from the beginning up to what the edit changed, and behind it from the end. They are
    counted, so a second copy of an old error is new. One that lies outside of what the edit changed is new only if
    there are more errors than before: what a parser could not read before, it may report elsewhere. If `before` is
    None (a new file) or has no errors, every diagnostic of `after` is new. Replace each hole of `before` by a name such
    as `_` first; otherwise the error of the hole hides others.

    CPython's compiler stops at its first error, so it cannot compare two broken texts. In that case the errors count
    that are on a line that `before` did not have; if there are none, tree-sitter, which continues after an error,
    compares them. fragment: as in `check`. sound: Python outside of what was edited has no errors, so every one is new.
    """
    if before is not None and language.name in _PREPROCESSED and (same := _unread(before, after, language, seconds)):
        return same
    new = check(after, language, seconds=seconds, fragment=fragment)
    if before is None or new.ok or not new.checked or (sound and language.name == "python"):
        return new
    old = check(before, language, seconds=seconds, fragment=fragment)
    if not old.diagnostics:
        return new
    if language.name == "python":
        return _compared_python(before, after, language, new, seconds=seconds, fragment=fragment)
    return _split(new, _added(before, old, after, new))


def _unread(before: str, after: str, language: Language, seconds: float) -> CheckResult | None:
    """The verdict on an edit of what the grammar cannot read for want of a preprocessor; None if it could, or can less.

    No compiler needs to be asked: a compiler may have been content before, and miss a name now that the edit changed.
    """
    old, new = (parse_errors(text, language, seconds=seconds) for text in (before, after))
    if old.diagnostics and new.diagnostics and not _added(before, old, after, new):
        return _split(new, ())
    return None


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
    left = _without(old.diagnostics, new.diagnostics, lambda one: (one.message, was[one.line - 1]),
                    lambda one: (one.message, lines[one.line - 1]))  # fmt: skip
    first, last = _changed(was, lines)
    shift = len(lines) - len(was)

    def moved(one: Diagnostic) -> tuple[str, int]:
        return _QUOTED.sub("", one.message), one.line if one.line <= last - max(shift, 0) else one.line + shift

    gone, fresh = left
    _, fresh = _without(gone, fresh, moved, lambda one: (_QUOTED.sub("", one.message), one.line))
    if len(new.diagnostics) <= len(old.diagnostics):
        fresh = [one for one in fresh if first <= one.line <= last]
    return tuple(fresh)


def _without(
    those: Iterable[Diagnostic],
    others: Iterable[Diagnostic],
    key: Callable[[Diagnostic], object],
    other_key: Callable[[Diagnostic], object],
) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """Of both sides those that have no partner with an equal key on the other."""
    alone: list[Diagnostic] = list(those)
    fresh: list[Diagnostic] = []
    for other in others:
        partner = next((one for one in alone if key(one) == other_key(other)), None)
        if partner is None:
            fresh.append(other)
        else:
            alone.remove(partner)
    return alone, fresh


def _changed(was: Sequence[str], lines: Sequence[str]) -> tuple[int, int]:
    """The first and the last line, from 1, of what an edit changed in its new text, with one line on each side."""
    pairs = zip(was, lines, strict=False)
    first = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(was), len(lines)))
    most = min(len(was), len(lines)) - first
    behind = next((i for i in range(most) if was[-1 - i] != lines[-1 - i]), most)
    return first, len(lines) - behind + 1
