"""Critics beside the syntax check: what may be wrong with new text that parses.

Knows text and languages; nothing of models or tokens. A warning has the span of what it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.syntax import names
from diffucli.syntax.check import diagnostic
from diffucli.syntax.faults import faults
from diffucli.syntax.symbols import symbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.syntax.check import Diagnostic
    from diffucli.syntax.languages import Language
    from diffucli.tasks.verify import Check

REPEATED = re.compile(r"(?P<unit>[^\w\s]\s*[^\s\"']{3,40}?)(?:\s*(?P=unit))+", re.DOTALL)
SLICE = re.compile(r"\[[^\[\]]*:[^\[\]]*\]")
LISTED = ",.;:()[]{}"  # a unit that begins with one of these often comes twice: arguments, fields, calls
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]+")  # text is shown in another order than it is run
STRING = r"\"{3}.*?\"{3}|'{3}.*?'{3}|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
MIN_LINE = 4  # characters of a line that may not come twice in a row


@dataclass(frozen=True, slots=True)
class NewText:
    """A half-open range of characters of a text that is new, and the `old` text that it replaced ("" for a hole)."""

    start: int
    stop: int
    old: str = ""


def warnings_of(before: str, after: str, new: Sequence[NewText], language: Language) -> tuple[Diagnostic, ...]:
    """What is suspicious in the `new` parts of `after`; `before` is the text as it was, for comparison."""
    found = [*_of_shape(after, new, language), *_lost_symbols(before, after, new, language)]
    if language.name == "python":
        for start, stop, name in names.undefined(before, after):
            found.append(diagnostic(after, start, stop, f"undefined name `{name}`"))
    return tuple(sorted(found, key=lambda one: one.start))


def depth(text: str, language: Language, check: Check) -> tuple[int, int]:
    """How many errors a text with syntax errors has, and how many lines follow the first one; the smaller the better.

    The compiler of Python tells its first error only; those behind it are counted too, so that a repair that gets on is
    known from one that moves the error.
    """
    if not check.diagnostics:
        return 0, 0
    return max(len(faults(text, language)), 1), text.count("\n", check.diagnostics[0].start)


def _of_shape(text: str, new: Sequence[NewText], language: Language) -> Iterator[Diagnostic]:
    for part in new:
        piece = text[part.start : part.stop]
        turned = [(*found.span(), "the text contains bidirectional controls") for found in BIDI.finditer(piece)]
        for start, stop, message in (*turned, *_repeated(piece, language), *_suffix_again(piece, text[part.stop :])):
            yield diagnostic(text, part.start + start, part.start + stop, message)
        if part.old and _acts(part.old, language) and not _acts(piece, language):
            yield diagnostic(text, part.start, part.stop, "code was replaced by none")


def _acts(text: str, language: Language) -> bool:
    """Whether a text has a line that is neither blank nor a comment nor a stub."""
    marks = tuple(mark for mark in (language.comment, "#", "//", "/*", "*", '"""') if mark)
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith(marks) and line not in {"pass", "..."} for line in lines)


def _lost_symbols(before: str, after: str, new: Sequence[NewText], language: Language) -> Iterator[Diagnostic]:
    """Definitions of the old text that the new one does not have any more."""
    if not any(part.old for part in new):
        return
    try:
        lost = {one.name for one in symbols(before, language)} - {one.name for one in symbols(after, language)}
    except UsageError:
        return
    for name in sorted(lost):
        part = next((part for part in new if name.rpartition(".")[2] in part.old), None)
        if part:
            yield diagnostic(after, part.start, part.stop, f"`{name}` is no longer defined")


def _repeated(piece: str, language: Language) -> Iterator[tuple[int, int, str]]:
    """The same line twice in a row, or an expression that is repeated at once."""
    at = 0
    for indented, group in groupby(piece.splitlines(keepends=True), key=str.rstrip):
        line, lines = indented.strip(), list(group)
        size = sum(map(len, lines))
        if len(lines) > 1 and len(line) >= MIN_LINE and any(letter.isalnum() for letter in line):
            yield at + len(lines[0]), at + size, f"the line `{line[:40]}` is repeated"
        at += size
    for found in REPEATED.finditer(_code_alone(piece, language)):
        unit = found["unit"]
        least = 3 if unit[0] in LISTED and not SLICE.fullmatch(unit) else 2
        if found[0].count(unit) >= least and any(letter.isalnum() for letter in unit):
            yield found.start() + len(unit), found.end(), f"`{unit[:40]}` is repeated"


def _code_alone(piece: str, language: Language) -> str:
    """`piece` with strings and comments blotted out, character by character."""
    comment = f"|{re.escape(language.comment)}[^\\n]*" if language.comment else ""
    return re.sub(f"(?s:{STRING}){comment}", lambda found: re.sub(r"[^\n]", "_", found[0]), piece)


def _suffix_again(piece: str, behind: str) -> Iterator[tuple[int, int, str]]:
    """The last line of `piece` if it is also the next line with text behind it."""
    lines = piece.rstrip().splitlines()
    following = next((line.strip() for line in behind.splitlines()[1:] if line.strip()), "")
    last = lines[-1].strip() if lines else ""
    if len(lines) > 1 and last == following and len(last) >= MIN_LINE and any(letter.isalnum() for letter in last):
        stop = len(piece.rstrip())
        yield stop - len(last), stop, f"`{last[:40]}` stands below already"
