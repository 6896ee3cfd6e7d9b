"""`diffu bench fill`: whether filling a region costs more in a large file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.options import Live, Verify
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.cli.session import Session
from diffucli.cli.streams import STDIN

if TYPE_CHECKING:
    from diffucli.bench.growth import Fill
    from diffucli.model.load import Checkpoint

NAME = Path("generated.py")


@grouped
def fill(
    subject: options.Subject, preset: options.Presets = None, rounds: options.Rounds = 1, as_json: flag.Json = False
) -> None:
    """Measure the same fill in a file of 100 lines and in one of 2,000.

    The model sees the same part of both files. The time is that of `diffu fill` from the text to the new text.
    """
    from diffucli.bench import growth
    from diffucli.tasks.engine import Engine

    loaded, policies, found = output.load(subject), options.policies(preset), []
    context = context_of(loaded.checkpoint)
    narrow = replace(loaded.checkpoint, config=replace(loaded.checkpoint.config, trained_length=context))
    with meter("measuring", Report(json=as_json)) as show:
        for count, (name, policy) in enumerate(policies.items(), start=1):
            session = Session(loaded.entry, Engine(narrow, policy), 0.0, Live.never, 1.0, Report(quiet=True))
            found.append(growth.measure(name, fill_with(session), rounds=rounds))
            show(count / len(policies), f"{name} · {count} of {len(policies)}")
    output.put_loaded("fill", loaded, growth.findings(found, context), as_json=as_json)


def context_of(checkpoint: Checkpoint) -> int:
    """A context length, in tokens, that is shorter than the smallest file on both sides of its region."""
    from diffucli.bench.growth import SIZES, source

    return min(checkpoint.context, len(checkpoint.tokenizer.encode(source(SIZES[0]))) // 2)


def fill_with(session: Session) -> Fill:
    """A callable that fills a region as `diffu fill` does, without a retry, and returns the number of forwards."""
    from diffucli.cli.outcome import Court
    from diffucli.cli.rewrite import Wanted, jobs_of, rewrite

    court = Court(Verify.warn, session.report)  # it reports what does not parse and never retries

    def fill(text: str, region: str) -> float:
        wanted = Wanted((region,), holes=False, lang=None, lenient=False)
        (job,) = jobs_of([STDIN], wanted, stdin=text.encode(), stdin_name=NAME)
        return rewrite(job, None, session, court).numbers.nfe

    return fill
