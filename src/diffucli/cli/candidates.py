"""Several candidates: all of them on stdout or in files, or shown one after the other until one is accepted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from diffucli.cli import destination, paint, streams
from diffucli.cli.report import Report, attempt_values, doubt_values, shown

if TYPE_CHECKING:
    from diffucli.cli.destination import Target
    from diffucli.cli.session import Session
    from diffucli.tasks.engine import Result
    from diffucli.tasks.jobs import Filled

QUESTION = "write this? [y]es, [n]ext, [q]uit: "
DECLINED = 1  # the exit code where no candidate was accepted


def put_all(
    result: Result,
    output: Path | None,
    targets: Sequence[Target],
    report: Report,
    *,
    encode: Callable[[str], bytes],
    name: str | None = None,
    strict: bool = False,
) -> None:
    """The candidates that may be written, those of equal text once, the best one first.

    They go to stdout as JSON lines, or into the numbered files of `output`. targets: these as they were before the run.
    name: of the file that was filled. strict: those in doubt may not.
    """
    accepted = result.acceptable(strict=strict)
    kept = {each.text for each in accepted}
    if refused := sum(each.text not in kept for each in result.candidates):
        report.warn(f"{refused} of {len(result.candidates)} candidates were refused and left out")
    files = destination.outputs(output or Path(name or "answer"), several=len(accepted))
    texts = [(file, encode(each.text)) for file, each in zip(files, accepted, strict=False)]
    with destination.keeping(texts):
        written = [(file, target, text) for (file, text), target in zip(texts, targets, strict=False)]
        undo = destination.write(written, report)
        if output is None or report.json:
            lines = []
            for number, each in enumerate(accepted):
                place = (
                    {"file": str(texts[number][0]), "undo": undo[number]} if output else {"file": name, "undo": None}
                )
                times = sum(other.text == each.text for other in result.candidates)
                line = {"schema": "diffu.candidate/1", "candidate": number + 1, "text": each.text, "times": times}
                doubt = each.doubt and doubt_values(each.doubt)
                lines.append(json.dumps({**line, **place, **attempt_values(each), "doubt": doubt}) + "\n")
            streams.put("".join(lines).encode())


def ask(filled: Filled, at_work: Session, *, strict: bool = False) -> Filled:
    """Shows each candidate that may be written as a diff, until one is accepted; `filled` with that one.

    typer.Exit: none was, so nothing is written.
    """
    accepted = filled.result.acceptable(strict=strict)
    for number, each in enumerate(accepted, 1):
        one = replace(filled, result=replace(filled.result, candidates=(each,)))
        doubt = each.doubt.message if each.doubt else ""
        streams.say(f"candidate {number} of {len(accepted)}{doubt and f': {doubt}'}")
        lines = one.diff().decode(errors="replace").split("\n")
        paint.say_diff("\n".join(shown(line, sys.stderr.encoding) for line in lines).rstrip(), at_work.theme)
        answer = _answer()
        if answer == "y":
            return one
        if answer == "q":
            break
    at_work.report.say(f"nothing was written to {filled.job.name}")
    raise typer.Exit(DECLINED)


def _answer() -> str:
    """The answer: "y", "n" or "q"; the end of the input and Ctrl-C are "q"."""
    while True:
        try:
            print(QUESTION, end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            line = ""
        if not line.endswith("\n"):
            streams.say()
        answer = line.strip().lower()[:1] if line else "q"
        if answer in {"y", "n", "q"}:
            return answer
