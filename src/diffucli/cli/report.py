"""What a command tells beside its result: notices, notes and numbers on stderr, or one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.units import format_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from diffucli.syntax.check import CheckResult, Diagnostic
    from diffucli.tasks.attempt import Attempt
    from diffucli.tasks.doubt import Doubt
    from diffucli.tasks.engine import Result

MOST_WARNINGS = 3  # lines on stderr
TAIL_LINES = 20  # of a failed test's output


def figures(result: Result, load_seconds: float) -> dict[str, float]:
    """A task in figures, in the order of --json.

    nfe: forwards of all attempts. tokens: of text, in `canvas` masks. left: masks that were never written. load,
    seconds: wall time of loading and of all attempts.
    """
    written, nfe = result.chosen.written, round(float(result.nfe), 2)
    return {
        "seed": result.seed,
        "nfe": int(nfe) if nfe.is_integer() else nfe,
        "tokens": written.tokens,
        "canvas": written.masks,
        "left": written.masks_left,
        "load": load_seconds,
        "seconds": result.seconds,
    }


@dataclass(frozen=True, slots=True)
class Report:
    """Where a command's words go: a group of flags. json: nothing but the object."""

    quiet: flag.Quiet = False
    verbose: flag.Verbose = False
    json: flag.Json = False

    def notice(self, text: str) -> None:
        """For everybody at a terminal, and for those who ask."""
        if self.tells_notices:
            say(text)

    @property
    def tells_notices(self) -> bool:
        """Whether a notice is told."""
        return not self.quiet and not self.json and (sys.stderr.isatty() or self.verbose)

    def say(self, text: str) -> None:
        """For everybody but the quiet."""
        if not self.quiet and not self.json:
            say(text)

    def warn(self, text: str) -> None:
        """For everybody but the quiet: the result is not what was wanted."""
        self.say(f"diffu: {text}")

    def note(self, text: str) -> None:
        """For those who ask."""
        if self.verbose and not self.json:
            say(text)

    def figures(self, result: Result, load_seconds: float) -> None:
        """The last line of a run."""
        seconds, tokens, of = result.seconds, result.chosen.written.tokens, figures(result, load_seconds)
        rate, space = format_rate(tokens, seconds), f"/{of['canvas']}" if of["canvas"] else ""  # a repair has no canvas
        line = (
            f"seed {of['seed']} · NFE {of['nfe']} · {tokens}{space} tokens · load {load_seconds:.1f} s · "
            f"{seconds:.1f} s · {rate and f'{rate} · '}{mark(result.check.result)}"
        )
        if tested := test_mark(result.chosen):
            line += f" · test: {tested}"
        self.notice(_spelled(line))

    def of_run(self, result: Result, name: str = "", *, strict: bool = False, too_new: str = "") -> None:
        """Tells the notes of a run, and what may be wrong with a text that is accepted all the same.

        name: of the file. strict: doubt is refused, which says it as well. too_new: what needs a higher Python.
        """
        for note in result.notes:
            self.note(note)
        if rounds := result.chosen.rounds:
            self.note(f"repaired in {rounds} {'round' if rounds == 1 else 'rounds'}")
        self._of_test(result.chosen)
        self._warnings(result.chosen.warnings, name)
        if left := result.chosen.written.masks_left:
            masks = "mask" if left == 1 else "masks"
            self.warn(f"--steps ended the run with {left} {masks} left, so parts of the text are missing")
        from diffucli.tasks.verify import NOT_CHECKED

        check = result.check
        if not check.result.checked and check is not NOT_CHECKED:
            self.warn(check.result.note)
        if check.message and not check.refused:
            self.warn(check.message)
        if check.warning:
            self.warn(check.warning)
        if too_new:
            self.warn(f"{name}: {too_new}" if name else too_new)
        if result.doubt.doubtful and not strict and not check.refused:
            self.warn(f"{result.doubt.message}; read it, or choose among others with -n 8")

    def _of_test(self, chosen: Attempt) -> None:
        """The end of a failed test's output for those who ask, and that the text is accepted all the same."""
        tested = chosen.tested
        if tested is None or tested.passed:
            return
        for line in tested.output.rstrip().splitlines()[-TAIL_LINES:]:
            self.note(line)
        if not tested.refused:
            self.warn(f"the text failed the test ({tested.reason})")

    def _warnings(self, warnings: Sequence[Diagnostic], name: str) -> None:
        """The first warnings of the critics, a line each."""
        for one in warnings[:MOST_WARNINGS]:
            place = f"{name}:{one.line}:{one.column}" if name else f"line {one.line}"
            self.warn(f"{place}: {one.message}")
        if (more := len(warnings) - MOST_WARNINGS) > 0:
            self.warn(f"and {more} more {'warning' if more == 1 else 'warnings'}")

    def object(self, schema: str, status: int, **values: object) -> None:
        """The object of --json, in ASCII, which every encoding holds."""
        streams.put(json.dumps(framed(schema, status, values)).encode() + b"\n")


def framed(schema: str, status: int, values: Mapping[str, object]) -> dict[str, object]:
    """An object of --json: what it is, the exit code, the version of diffu, and the values."""
    from importlib.metadata import version

    return {"schema": schema, "status": status, "version": version("diffucli"), **values}


def test_mark(attempt: Attempt) -> str:
    """Either "passed" or "failed"; "" if no test of the user's own judged the text."""
    if attempt.tested is None:
        return ""
    return "passed" if attempt.tested.passed else "failed"


def attempt_values(attempt: Attempt) -> dict[str, object]:
    """What JSON says of a text beside the text."""
    checked = attempt.check.result
    return {
        "parses": checked.parses,
        "problems": places(checked.diagnostics),
        "old_problems": places(checked.old),
        "warnings": places(attempt.warnings),
        "mean_logprob": round(attempt.written.mean_logprob, 4),
        "test": test_mark(attempt) or None,
    }


def run_values(result: Result, load_seconds: float, *, too_new: str = "") -> dict[str, object]:
    """What --json says of a run. too_new: what needs a higher Python than the project has."""
    counts = {"candidates": len(result.candidates), "attempts": len(result.attempts)}
    chosen, doubt = attempt_values(result.chosen), doubt_values(result.doubt)
    notes = notes_of(result.check.result.note, too_new)
    return {"run": figures(result, load_seconds), **counts, **chosen, "notes": notes, "doubt": doubt}


def notes_of(*notes: str) -> list[str]:
    """Those that say something: what is to be known of a verdict."""
    return [note for note in notes if note]


def doubt_values(doubt: Doubt) -> dict[str, object]:
    """What --json says of a doubt."""
    return {"probability": doubt.probability, "doubtful": doubt.doubtful, **asdict(doubt.evidence)}


def places(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """Problems as plain values."""
    return [{"line": one.line, "column": one.column, "message": one.message} for one in diagnostics]


def mark(verdict: CheckResult) -> str:
    """A verdict in a few words."""
    if not verdict.checked:
        return verdict.note or "not checked"
    if verdict.diagnostics:
        return "does not parse"
    left = len(verdict.old)
    return f"no new errors, {left} old one{'s' if left > 1 else ''} left" if left else "parses ✓"


def say(text: str) -> None:
    """A line on stderr, as `shown`."""
    streams.say(shown(text, sys.stderr.encoding))


def say_lines(text: str) -> None:
    """Lines on stderr, each as `shown`."""
    for line in text.removesuffix("\n").split("\n"):
        say(line.removesuffix("\r"))


def tell(text: str) -> None:
    """A line of the result on stdout, as `shown`."""
    streams.put(shown(text, sys.stdout.encoding).encode(sys.stdout.encoding) + b"\n")


def shown(text: str, encoding: str) -> str:
    """`text` in one line, with what would steer a terminal, and what the encoding lacks, made visible."""
    if text.isascii() and text.isprintable():
        return text
    from diffucli.ui.glyphs import visible

    return visible(text, encoding).replace("\n", "\\n")


def _spelled(line: str) -> str:
    """The line of numbers for a terminal that has neither dots nor check marks."""
    try:
        line.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return line.replace(" ✓", "").replace("·", "|")
    return line
