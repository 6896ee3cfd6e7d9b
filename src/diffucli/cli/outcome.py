"""What becomes of new text: judged, then written with its pre-image kept, or refused and shown.

Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.cli.options import Verify
from diffucli.cli.report import Report, places
from diffucli.errors import Unparsable, UsageError, WriteFailed

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.edit.patch import Written
    from diffucli.edit.source import Source
    from diffucli.syntax.check import CheckResult
    from diffucli.syntax.languages import Language

CONTEXT = 3  # lines shown around what does not parse
ANSWER = "the answer"


class Refused(Unparsable):
    """New text that was not written. excerpt: what of `text` to show; problems: as --json tells them."""

    def __init__(self, message: str, *, text: str, excerpt: str, verdict: CheckResult) -> None:
        hint = "try --temp 0.7 with another --seed, or --verify warn"
        super().__init__(f"{message}; nothing was written", hint=hint)
        self.text, self.excerpt, self.problems = text, excerpt, places(verdict)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What there is to say of a new `text`. message: what is wrong with it; excerpt: what of it to show then."""

    verdict: CheckResult
    text: str
    message: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Court:
    """Judges new text as --verify says: an opinion first, and a ruling on the last one."""

    verify: Verify
    report: Report

    def on_answer(self, code: str, language: Language) -> Opinion:
        """An answer must be code that parses."""
        from diffucli.syntax import check

        if self.verify is Verify.off:
            return _unchecked(code)
        verdict, message = check.check(code, language, name=ANSWER), ""
        if verdict.diagnostics:
            problem = verdict.diagnostics[0]
            message = f"{ANSWER} does not parse: line {problem.line}: {problem.message}"
        elif not check.is_substantial(code, language):
            message = f"{ANSWER} holds no code"
        return Opinion(verdict, code, message, code.rstrip())

    def on_edit(self, name: str, before: str, after: str, language: Language) -> Opinion:
        """Only new errors count in `after`."""
        from diffucli.syntax import check

        if self.verify is Verify.off:
            return _unchecked(after)
        verdict = check.new_diagnostics(before, after, language)
        if not verdict.diagnostics:
            return Opinion(verdict, after)
        problem = verdict.diagnostics[0]
        message = f"{name}:{problem.line}:{problem.column}: {problem.message}"
        return Opinion(verdict, after, message, _around(after, problem.line))

    def refuses(self, opinion: Opinion) -> bool:
        """Whether `rule` would refuse the text."""
        return bool(opinion.message) and self.verify is Verify.error

    def rule(self, opinion: Opinion) -> CheckResult:
        """The verdict. Refused: something is wrong with the text, and that is an error."""
        if not opinion.verdict.checked and self.verify is not Verify.off:
            self.report.warn(opinion.verdict.note)
        if self.refuses(opinion):
            raise Refused(opinion.message, text=opinion.text, excerpt=opinion.excerpt, verdict=opinion.verdict)
        if opinion.message:
            self.report.warn(opinion.message)
        return opinion.verdict


def _unchecked(text: str) -> Opinion:
    from diffucli.syntax import check

    return Opinion(check.CheckResult(checked=False, note="not checked"), text)


def require_target(path: Path) -> None:
    """Before a run of the model: WriteFailed or UsageError where it is plain that `path` cannot be written."""
    from diffucli.edit import patch

    real = path.resolve()
    if not real.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist", hint=f"mkdir -p {real.parent}")
    if patch.content(real) is not None and not real.stat().st_mode & 0o222:
        raise WriteFailed(f"{path}: is read-only", hint=f"chmod u+w {path}, or write elsewhere with -o")


def create(path: Path, new: bytes, report: Report) -> str | None:
    """Writes `new` to `path`, new or not; the id that `diffu undo` takes, None where nothing changed."""
    from diffucli.edit import patch
    from diffucli.edit.undo import UndoStore, default_root

    return _told(patch.create(path, new, store=UndoStore(default_root())), path, report)


def overwrite(read: Source, new: bytes, report: Report) -> str | None:
    """Writes `new` over the file that was read; as `create`."""
    from diffucli.edit import patch
    from diffucli.edit.undo import UndoStore, default_root

    return _told(patch.write(read, new, store=UndoStore(default_root())), read.path, report)


def _told(written: Written, path: Path | None, report: Report) -> str | None:
    report.notice(
        f"wrote {path} (undo with: diffu undo {written.undo_id})" if written.changed else f"{path} is unchanged"
    )
    return written.undo_id


def _around(text: str, line: int) -> str:
    """The lines about line `line` with their numbers."""
    first = max(line - 1 - CONTEXT, 0)
    shown = enumerate(text.splitlines()[first : line + CONTEXT], start=first + 1)
    return "\n".join(f"{'>' if number == line else ' '} {number:4} {content}" for number, content in shown)
