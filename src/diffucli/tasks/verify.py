"""Verification: whether new text is code that parses, and what to tell of it where it is not.

Knows text and languages; nothing of models, files or terminals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli.edit.regions import line_spans
from diffucli.errors import Unparsable
from diffucli.syntax import check
from diffucli.syntax.compare import mended, new_diagnostics

if TYPE_CHECKING:
    from diffucli.syntax.check import CheckResult, Diagnostic
    from diffucli.syntax.languages import Language
    from diffucli.tasks.targets import Targets

Verify = Literal["error", "warn", "off"]
EXCERPT = 3  # lines shown above and below an error
ANSWER = "the answer"


@dataclass(frozen=True, slots=True)
class Check:
    """What verification found. message: the first fault in words, "" if there is none; excerpt: the text around it.

    refused: the fault is an error, so the text must not be written (`verify="error"`). warning: what the verdict does
    not cover, though there is no fault. hint: what may help against the fault. unmended: errors that are left of a text
    of which at least one was mended.
    """

    result: CheckResult
    message: str = ""
    excerpt: str = ""
    refused: bool = False
    warning: str = ""
    hint: str = ""
    unmended: tuple[Diagnostic, ...] = ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every syntax error that is to be mended."""
        return self.result.diagnostics or self.unmended

    @property
    def faults(self) -> int:
        """How many faults there are; an answer without code is one."""
        return len(self.diagnostics) or int(bool(self.message))


class Refused(Unparsable):
    """New text that was not written. text: all of it; check: what is wrong with it."""

    def __init__(self, text: str, found: Check) -> None:
        super().__init__(f"{found.message}; nothing was written", hint=found.hint)
        self.text, self.check = text, found


def verify_answer(code: str, language: Language, verify: Verify) -> Check:
    """New code must parse, and must be more than names, literals and comments."""
    if verify == "off":
        return NOT_CHECKED
    fragment = language.name != "python"  # an answer is often a function, also where a file begins with its package
    result, message, hint = check.check(code, language, name=ANSWER, fragment=fragment), "", ""
    if result.diagnostics:
        first = result.diagnostics[0]
        message = f"{ANSWER} does not parse: line {first.line}: {first.message}"
        hint = remedy("request")
    elif not check.is_substantial(code, language):
        message = f"{ANSWER} holds no code"
        hint = remedy("empty")
    shown = numbered(code.rstrip(), result.diagnostics[0].line if result.diagnostics else 0) if code.strip() else ""
    refused, warning = bool(message) and verify == "error", f"{ANSWER}: {result.note}" if result.note else ""
    return Check(result, message, shown, refused=refused, warning="" if message else warning, hint=hint)


def verify_edit(name: str, targets: Targets, after: str, language: Language, verify: Verify) -> Check:
    """An edit of the file `name` at `targets` must not add syntax errors, and one that mends must leave fewer."""
    if verify == "off":
        return NOT_CHECKED
    before, fragment = targets.plain, targets.fragment
    if targets.mends:
        result = mended(before, after, language, fragment=fragment)
    else:
        result = new_diagnostics(before, after, language, fragment=fragment, sound=targets.sound)
    if not result.diagnostics:
        unmended = result.old if targets.mends else ()
        return Check(result, warning=_unjudged(name, result), unmended=unmended)
    first = result.diagnostics[0]
    message = f"{name}:{first.line}:{first.column}: {first.message}"
    hint = remedy("errors" if targets.mends else "region")
    return Check(result, message, excerpt(after, first.line), refused=verify == "error", hint=hint)


def _unjudged(name: str, result: CheckResult) -> str:
    """A warning where a text has errors left, behind which others may hide, or where more is to be known of it."""
    if not result.old:
        return f"{name}: {result.note}" if result.note and result.checked else ""
    first = result.old[0]
    return f"{name}:{first.line}:{first.column}: {first.message}; this was wrong before and may hide other errors"


Situation = Literal["request", "empty", "region", "errors"]
_REMEDIES: dict[Situation, str] = {
    "request": "ask for one function at a time, or see the text with --verify warn",
    "empty": "say what the code does and what it is called, such as: a function add(a, b) that returns the sum",
    "region": "give it another size with --length, such as 1-20, or see the text with --verify warn",
    "errors": "name the lines with -r to write them anew, or see the text with --verify warn",
}


def remedy(situation: Situation) -> str:
    """What may help where new text was refused: an answer that does not parse or holds no code, an edit, a repair."""
    return _REMEDIES[situation]


def excerpt(text: str, line: int) -> str:
    """The lines around line `line` (from 1) with their numbers."""
    return "\n".join(numbered(text, line).split("\n")[max(line - 1 - EXCERPT, 0) : line + EXCERPT])


def numbered(text: str, line: int) -> str:
    """All lines with their numbers, and a mark at line `line` (from 1), so that nobody takes them for a result."""
    lines = enumerate((text[start:stop] for start, stop in line_spans(text)), start=1)
    return "\n".join(f"{'>' if number == line else ' '} {number:4} {content}" for number, content in lines)


NOT_CHECKED = Check(check.CheckResult(checked=False, note="not checked"))  # as the user wanted it
