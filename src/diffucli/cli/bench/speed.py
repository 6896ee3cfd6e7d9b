"""`diffu bench speed`: tokens per second and per forward, by preset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Requests:
    """What is requested, and how long answers are."""

    prompts: Annotated[
        Path | None, typer.Option("--prompts", metavar="FILE", help="Requests, one a line. Ten requests by default.")
    ] = None
    long: Annotated[bool, typer.Option("--long", help="Request whole programs, which give long answers.")] = False
    length: options.Length = None
    full: Annotated[bool, typer.Option("--full", help="Forbid end tokens: answers fill the canvas.")] = False

    def texts(self) -> Sequence[str]:
        """The requests. Raises UsageError if there are none."""
        from diffucli.bench.speed import REQUESTS
        from diffucli.edit import source
        from diffucli.eval.suites import Suite, long_requests

        if self.long and self.prompts:
            raise UsageError("--long and --prompts both choose the requests", hint="give one of them")
        if self.long:
            return [problem.request for problem in long_requests(Suite.mini, len(REQUESTS))]
        if not self.prompts:
            return REQUESTS
        found = [line.strip() for line in source.read(self.prompts).text.splitlines() if line.strip()]
        if not found:
            raise UsageError(f"{self.prompts} has no request in it", hint="write one request a line")
        return found


@grouped
def speed(
    requests: Requests,
    subject: options.Subject,
    preset: options.Presets = None,
    against: options.Yardsticks = None,
    rounds: options.Rounds = 1,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time of a step goes.")] = False,
    plot: options.Plot = None,
    as_json: flag.Json = False,
) -> None:
    """Measure how fast each preset answers the same requests.

    NFE: forwards; TPF: tokens of text per forward; drawing: what the live view costs. Yardsticks of --against are the
    first rows, and every row is divided by them. --plot draws tokens per second over TPF.
    """
    from diffucli.bench import profile as profiling
    from diffucli.bench import report
    from diffucli.bench import speed as speeds
    from diffucli.bench.writers import REFERENCE, writers

    options.require_picture(plot)
    work, yardsticks = speeds.Work(requests.texts(), rounds, requests.length, requests.full), options.names(against)
    loaded = output.load(subject)
    contenders = writers(loaded.checkpoint, options.policies(preset), yardsticks)
    with meter("measuring", Report(json=as_json)) as show:
        found = speeds.measure(contenders, work, show=lambda done: show(done, "requests"))
    findings = speeds.findings(found, yardsticks, full=work.full)
    if profile:
        ours = {name: writer for name, writer in contenders.items() if name != REFERENCE}
        findings = findings.followed_by(profiling.findings(list(profiling.profiles(ours, work))))
    if plot:
        report.plot(speeds.points(found), plot, label="tokens per forward")
    output.put_loaded("speed", loaded, findings, as_json=as_json)
