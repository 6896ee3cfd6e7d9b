"""What a command tells beside its result: notices, notes and numbers on stderr, or one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffucli.syntax.check import Verdict


@dataclass(frozen=True, slots=True)
class Numbers:
    """A run in figures. tokens: committed, of `canvas` masks. load, seconds: wall time."""

    seed: int
    steps: int
    tokens: int
    canvas: int
    load: float
    seconds: float
    reason: str

    def line(self, verdict: str) -> str:
        """One line for people."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return (
            f"seed {self.seed} · {self.steps} steps · {self.tokens}/{self.canvas} tokens · load {self.load:.1f} s · "
            f"{self.seconds:.1f} s · {rate:.0f} tok/s · {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """Where a command's words go. quiet: errors only; verbose: notes too; json: nothing but the object."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False

    def notice(self, text: str) -> None:
        """For everybody at a terminal, and for those who ask."""
        if not self.quiet and not self.json and (sys.stderr.isatty() or self.verbose):
            say(text)

    def warn(self, text: str) -> None:
        """For everybody but the quiet: the result is not what was asked for."""
        if not self.quiet and not self.json:
            say(text)

    def note(self, text: str) -> None:
        """For those who ask."""
        if self.verbose and not self.json:
            say(text)

    def numbers(self, numbers: Numbers, verdict: Verdict) -> None:
        """The last line of a run."""
        self.notice(numbers.line(mark(verdict)))

    def object(self, schema: str, status: int, **values: object) -> None:
        """The object of --json."""
        print(json.dumps({"schema": schema, "status": status, **values}, ensure_ascii=False))


def run_values(numbers: Numbers, verdict: Verdict) -> dict[str, object]:
    """What --json says of a run."""
    return {"run": asdict(numbers), "parses": verdict.ok if verdict.known else None, "problems": places(verdict)}


def places(verdict: Verdict) -> list[dict[str, object]]:
    """The problems of a verdict as plain values."""
    return [{"line": p.line, "column": p.column, "message": p.message} for p in verdict.problems]


def mark(verdict: Verdict) -> str:
    """A verdict in two words."""
    if not verdict.known:
        return verdict.note or "not checked"
    return "does not parse" if verdict.problems else ("parses ✓" if _prints("✓") else "parses")


def say(text: str) -> None:
    """One line on stderr, with what its encoding cannot hold replaced and what would steer a terminal shown."""
    plain = "".join(char if char == "\n" or char.isprintable() else repr(char)[1:-1] for char in text)
    encoding = sys.stderr.encoding or "ascii"
    print(plain.encode(encoding, "replace").decode(encoding), file=sys.stderr)


def _prints(char: str) -> bool:
    try:
        char.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
