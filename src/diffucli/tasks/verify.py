"""Verification: whether new text is code that parses, and what to tell of it where it is not.

Knows text and languages; nothing of models, files or terminals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffucli.errors import Unparsable
from diffucli.syntax import check

if TYPE_CHECKING:
    from diffucli.syntax.check import CheckResult, Diagnostic
    from diffucli.syntax.languages import Language

Verify = Literal["error", "warn", "off"]
EXCERPT = 3  # lines shown above and below an error
ANSWER = "the answer"


@dataclass(frozen=True, slots=True)
class Check:
    """What verification found. message: the first fault in words, "" if there is none; excerpt: the text around it.

    refused: the fault is an error, so the text must not be written (`verify="error"`).
    """

    result: CheckResult
    message: str = ""
    excerpt: str = ""
    refused: bool = False

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every syntax error."""
        return self.result.diagnostics

    @property
    def faults(self) -> int:
        """How many faults there are; an answer without code is one."""
        return len(self.result.diagnostics) or int(bool(self.message))


class Refused(Unparsable):
    """New text that was not written. text: all of it; check: what is wrong with it."""

    def __init__(self, text: str, found: Check) -> None:
        hint = "try --temp 0.7 with another --seed, or --verify warn"
        super().__init__(f"{found.message}; nothing was written", hint=hint)
        self.text, self.check = text, found


def verify_answer(code: str, language: Language, verify: Verify) -> Check:
    """New code must parse, and must be more than names, literals and comments."""
    if verify == "off":
        return NOT_CHECKED
    result, message = check.check(code, language, name=ANSWER), ""
    if result.diagnostics:
        first = result.diagnostics[0]
        message = f"{ANSWER} does not parse: line {first.line}: {first.message}"
    elif not check.is_substantial(code, language):
        message = f"{ANSWER} holds no code"
    return Check(result, message, code.rstrip(), refused=bool(message) and verify == "error")


def verify_edit(name: str, before: str, after: str, language: Language, verify: Verify) -> Check:
    """An edit of the file `name` must not add syntax errors to those that `before` has."""
    if verify == "off":
        return NOT_CHECKED
    result = check.new_diagnostics(before, after, language)
    if not result.diagnostics:
        return Check(result)
    first = result.diagnostics[0]
    message = f"{name}:{first.line}:{first.column}: {first.message}"
    return Check(result, message, excerpt(after, first.line), refused=verify == "error")


def excerpt(text: str, line: int) -> str:
    """The lines around line `line` (from 1) with their numbers."""
    first = max(line - 1 - EXCERPT, 0)
    shown = enumerate(text.splitlines()[first : line + EXCERPT], start=first + 1)
    return "\n".join(f"{'>' if number == line else ' '} {number:4} {content}" for number, content in shown)


NOT_CHECKED = Check(check.CheckResult(checked=False, note="not checked"))  # as the user wanted it
