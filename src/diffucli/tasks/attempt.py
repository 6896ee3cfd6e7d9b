"""An attempt: a text that was written for a task, what the critics say of it, and where its tokens lie in it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.errors import Unparsable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.model.tokenizer import Tokenizer
    from diffucli.syntax.check import Diagnostic
    from diffucli.tasks.doubt import Doubt
    from diffucli.tasks.verify import Check
    from diffucli.tasks.write import RunOutput


@dataclass(frozen=True, slots=True)
class Judged:
    """What a test of the user's own says of a text.

    refused: it failed, so the text must not be written. reason: of a failure, in words. output: the end of what the
    test wrote.
    """

    passed: bool
    refused: bool = False
    reason: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One version of a text.

    text: as a whole; pieces: of each hole. ended: the text came to its end by itself. check: what verification found.
    written: the tokens. warnings: what the other critics found. offsets: for each hole the character offset in `text`
    at which each of its tokens begins, and the one at which the last ends. depth: of the syntax errors, as
    `critics.depth` measures it. tested: by the user's own test, if there is one. rounds: of repair that led to it.
    doubt: how sure the text is; None where it was not read again.
    """

    text: str
    pieces: tuple[str, ...]
    ended: bool
    check: Check
    written: RunOutput
    warnings: tuple[Diagnostic, ...] = ()
    offsets: tuple[tuple[int, ...], ...] = ()
    depth: tuple[int, int] = (0, 0)
    tested: Judged | None = None
    rounds: int = 0
    doubt: Doubt | None = None

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All that the critics found, errors first."""
        return (*self.check.diagnostics, *self.warnings)

    @property
    def is_clean(self) -> bool:
        """Whether no critic found anything."""
        return not self.check.faults and not self.warnings


class FailedTest(Unparsable):
    """New text that failed the user's own test, and was not written."""

    def __init__(self, text: str, tested: Judged, candidates: int) -> None:
        failed = "the text failed the test" if candidates == 1 else f"none of {candidates} candidates passed the test"
        hint = "more candidates (-n 8) may have one that passes; -v shows what the test says"
        super().__init__(f"{failed} ({tested.reason}); nothing was written", hint=hint)
        self.text, self.tested = text, tested


def faults(attempt: Attempt) -> tuple[int, int, int, int, int]:
    """How far an attempt is from being clean: errors, how many and how early, a failed test, and warnings."""
    failed = attempt.tested is not None and not attempt.tested.passed
    return attempt.check.faults, *attempt.depth, int(failed), len(attempt.warnings)


def badness(attempt: Attempt) -> tuple[tuple[int, int, int, int, int], float]:
    """A key to sort attempts by, the best first: faults, and how improbable the tokens are."""
    return faults(attempt), -attempt.written.mean_logprob


def token_offsets(tokenizer: Tokenizer, tokens: Sequence[int], *, start: int, newline: str = "\n") -> tuple[int, ...]:
    """The character offset at which each of `tokens` begins, and the one at which the last ends.

    start: offset of the first token's first character. newline: what a newline has become in the text. A character
    that is spread over several tokens counts with the last of them.
    """
    return tuple(_offsets(tokenizer, tokens, start, len(newline)))


def _offsets(tokenizer: Tokenizer, tokens: Sequence[int], start: int, newline: int) -> Iterator[int]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield start
    for token in tokens:
        text = decoder.decode(tokenizer.piece(token))
        start += len(text) + text.count("\n") * (newline - 1)
        yield start
