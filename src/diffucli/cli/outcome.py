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
    from diffucli.syntax.check import Verdict
    from diffucli.syntax.languages import Language

CONTEXT = 3  # lines shown around what does not parse
ANSWER = "the answer"


class Refused(Unparsable):
    """New text that was not written. excerpt: what of `text` to show; problems: as --json tells them."""

    def __init__(self, message: str, *, text: str, excerpt: str, verdict: Verdict) -> None:
        hint = "try --temp 0.7 with another --seed, or --verify warn"
        super().__init__(f"{message}; nothing was written", hint=hint)
        self.text, self.excerpt, self.problems = text, excerpt, places(verdict)


@dataclass(frozen=True, slots=True)
class Court:
    """Judges new text as --verify says."""

    verify: Verify
    report: Report

    def refuses_answer(self, code: str, language: Language) -> bool:
        """Whether `judge_answer` would refuse an answer."""
        return self.verify is Verify.error and bool(_fault(code, language)[1])

    def refuses_edit(self, before: str, after: str, language: Language) -> bool:
        """Whether `judge_edit` would refuse `after`."""
        from diffucli.syntax import check

        return self.verify is Verify.error and bool(check.new_problems(before, after, language).problems)

    def judge_answer(self, code: str, language: Language) -> Verdict:
        """The verdict on an answer, which must be code. Refused: it is not, and that is an error."""
        from diffucli.syntax import check

        if self.verify is Verify.off:
            return check.Verdict(known=False, note="not checked")
        verdict, message = _fault(code, language)
        self._rule(verdict, message, text=code, excerpt=code.rstrip())
        return verdict

    def judge_edit(self, name: str, before: str, after: str, language: Language) -> Verdict:
        """The verdict on `after`, for which only new errors count. Refused: there are some, and that is an error."""
        from diffucli.syntax import check

        if self.verify is Verify.off:
            return check.Verdict(known=False, note="not checked")
        verdict = check.new_problems(before, after, language)
        message = excerpt = ""
        if verdict.problems:
            problem = verdict.problems[0]
            message = f"{name}:{problem.line}:{problem.column}: {problem.message}"
            excerpt = _around(after, problem.line)
        self._rule(verdict, message, text=after, excerpt=excerpt)
        return verdict

    def _rule(self, verdict: Verdict, message: str, *, text: str, excerpt: str) -> None:
        if not verdict.known:
            self.report.warn(verdict.note)
        if message and self.verify is Verify.error:
            raise Refused(message, text=text, excerpt=excerpt, verdict=verdict)
        if message:
            self.report.warn(message)


def _fault(code: str, language: Language) -> tuple[Verdict, str]:
    """The verdict on an answer, and what is wrong with it: it does not parse, or holds no code; else nothing."""
    from diffucli.syntax import check

    verdict = check.check(code, language, name=ANSWER)
    if verdict.problems:
        problem = verdict.problems[0]
        return verdict, f"{ANSWER} does not parse: line {problem.line}: {problem.message}"
    return verdict, "" if check.is_substantial(code, language) else f"{ANSWER} holds no code"


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
    from diffucli.edit.store import Store, default_root

    return _told(patch.create(path, new, store=Store(default_root())), path, report)


def overwrite(read: Source, new: bytes, report: Report) -> str | None:
    """Writes `new` over the file that was read; as `create`."""
    from diffucli.edit import patch
    from diffucli.edit.store import Store, default_root

    return _told(patch.write(read, new, store=Store(default_root())), read.path, report)


def _told(written: Written, path: Path | None, report: Report) -> str | None:
    report.notice(
        f"wrote {path} (undo with: diffu undo {written.entry})" if written.changed else f"{path} is unchanged"
    )
    return written.entry


def _around(text: str, line: int) -> str:
    """The lines about line `line` with their numbers."""
    first = max(line - 1 - CONTEXT, 0)
    shown = enumerate(text.splitlines()[first : line + CONTEXT], start=first + 1)
    return "\n".join(f"{'>' if number == line else ' '} {number:4} {content}" for number, content in shown)
