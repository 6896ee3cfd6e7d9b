"""What a command tells beside its result: notices, notes and numbers on stderr, or one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.tasks.verify import NOT_CHECKED

if TYPE_CHECKING:
    from diffucli.syntax.check import CheckResult
    from diffucli.tasks.engine import Result


@dataclass(frozen=True, slots=True)
class Numbers:
    """A task in figures. nfe: forwards of all attempts. tokens: of text, in `canvas` masks. left: masks never written.

    load, seconds: wall time of loading and of all attempts.
    """

    seed: int
    nfe: float
    tokens: int
    canvas: int
    left: int
    load: float
    seconds: float

    @classmethod
    def of(cls, result: Result, load_seconds: float) -> Self:
        """The figures of a task's result."""
        written, nfe = result.chosen.written, round(float(result.nfe), 2)
        return cls(
            seed=result.seed,
            nfe=int(nfe) if nfe.is_integer() else nfe,
            tokens=written.tokens,
            canvas=written.masks,
            left=written.masks_left,
            load=load_seconds,
            seconds=result.seconds,
        )

    def line(self, verdict: str) -> str:
        """One line for people."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return (
            f"seed {self.seed} · NFE {self.nfe} · {self.tokens}/{self.canvas} tokens · load {self.load:.1f} s · "
            f"{self.seconds:.1f} s · {rate:.0f} tok/s · {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """Where a command's words go: a group of flags. json: nothing but the object."""

    quiet: flag.Quiet = False
    verbose: flag.Verbose = False
    json: flag.Json = False

    def notice(self, text: str) -> None:
        """For everybody at a terminal, and for those who ask."""
        if not self.quiet and not self.json and (sys.stderr.isatty() or self.verbose):
            say(text)

    def warn(self, text: str) -> None:
        """For everybody but the quiet: the result is not what was asked for."""
        if not self.quiet and not self.json:
            say(f"diffu: {text}")

    def note(self, text: str) -> None:
        """For those who ask."""
        if self.verbose and not self.json:
            say(text)

    def numbers(self, numbers: Numbers, verdict: CheckResult) -> None:
        """The last line of a run."""
        self.notice(_spelled(numbers.line(mark(verdict))))

    def of_run(self, result: Result) -> None:
        """Tells the notes of a run, and what is wrong with a text that is accepted all the same."""
        for note in result.notes:
            self.note(note)
        if left := result.chosen.written.masks_left:
            masks = "mask" if left == 1 else "masks"
            self.warn(f"--steps ended the run with {left} {masks} left, so parts of the text are missing")
        check = result.check
        if not check.result.checked and check is not NOT_CHECKED:
            self.warn(check.result.note)
        if check.message and not check.refused:
            self.warn(check.message)

    def object(self, schema: str, status: int, **values: object) -> None:
        """The object of --json, in ASCII, which every encoding holds."""
        streams.put(json.dumps({"schema": schema, "status": status, **values}).encode() + b"\n")


def run_values(numbers: Numbers, verdict: CheckResult) -> dict[str, object]:
    """What --json says of a run."""
    return {"run": asdict(numbers), "parses": verdict.ok if verdict.checked else None, "problems": places(verdict)}


def places(verdict: CheckResult) -> list[dict[str, object]]:
    """The problems of a verdict as plain values."""
    return [{"line": p.line, "column": p.column, "message": p.message} for p in verdict.diagnostics]


def mark(verdict: CheckResult) -> str:
    """A verdict in two words."""
    if not verdict.checked:
        return verdict.note or "not checked"
    return "does not parse" if verdict.diagnostics else "parses ✓"


def say(text: str) -> None:
    """Text on stderr, as `shown`."""
    print(shown(text, sys.stderr.encoding), file=sys.stderr)


def tell(text: str) -> None:
    """A line of the result on stdout, as `shown`."""
    streams.put(shown(text, sys.stdout.encoding).encode(sys.stdout.encoding) + b"\n")


def shown(text: str, encoding: str) -> str:
    """`text` with what would steer a terminal, and what the encoding lacks, made visible."""
    if text.isascii() and text.isprintable():
        return text
    from diffucli.ui.glyphs import visible

    return visible(text, encoding)


def _spelled(line: str) -> str:
    """The line of numbers for a terminal that has neither dots nor check marks."""
    try:
        line.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return line.replace(" ✓", "").replace("·", "|")
    return line
