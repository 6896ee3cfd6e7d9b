"""What `diffu bench --fill` does again and again: all of `diffu fill` but its start and its output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.cli.options import Live, Verify
from diffucli.cli.report import Report
from diffucli.cli.session import Session
from diffucli.cli.streams import STDIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffucli.bench.growth import Fill
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry

NAME = Path("generated.py")


def window(checkpoint: Checkpoint) -> int:
    """A context length, in tokens, that even the smallest file fills on both sides of its region."""
    from diffucli.bench.growth import SIZES, source

    return min(checkpoint.context, len(checkpoint.tokenizer.encode(source(SIZES[0]))) // 2)


def fills(entry: Entry, checkpoint: Checkpoint, policies: Mapping[str, Policy], *, room: int) -> dict[str, Fill]:
    """For each policy what fills a region of a text, of which the model sees `room` tokens."""
    from diffucli.tasks.engine import Engine

    seen = replace(checkpoint, settings={**checkpoint.settings, "trained_length": room})
    quiet = Report(quiet=True)
    return {
        name: _fill(Session(entry, Engine(seen, policy), 0.0, Live.never, 1.0, quiet))
        for name, policy in policies.items()
    }


def _fill(session: Session) -> Fill:
    from diffucli.cli.outcome import Court
    from diffucli.cli.rewrite import Wanted, jobs_of, rewrite

    court = Court(Verify.warn, session.report)  # one run each: what does not parse is told of, not written again

    def fill(text: str, region: str) -> float:
        wanted = Wanted((region,), holes=False, lang=None, lenient=False)
        (job,) = jobs_of([STDIN], wanted, stdin=text.encode(), stdin_name=NAME)
        return rewrite(job, None, session, court).numbers.nfe

    return fill
