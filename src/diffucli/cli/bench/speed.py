"""`diffu bench speed`: tokens per second and per forward, by preset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report

EXAMPLES = flag.examples("diffu bench speed", "diffu bench speed --preset balanced --against reference -n 3")
PROMPTS_HELP = "Read the requests from this file, one a line. (default: ten of ours)"
FULL_HELP = "Forbid end tokens, so that answers fill the canvas."
PROFILE_HELP = "Show where the time of a step goes."


@dataclass(frozen=True, slots=True)
class Requests:
    """What is requested, and how long answers are."""

    prompts: Annotated[Path | None, typer.Option("--prompts", metavar="FILE", help=PROMPTS_HELP)] = None
    long: options.Long = False
    length: options.Length = None
    full: Annotated[bool, typer.Option("--full", metavar=flag.FLAG, help=FULL_HELP)] = False


@grouped
def speed(
    requests: Requests,
    subject: options.Subject,
    preset: options.Presets = None,
    against: options.Yardsticks = None,
    rounds: options.Rounds = 1,
    profile: Annotated[bool, flag.output("--profile", metavar=flag.FLAG, help=PROFILE_HELP)] = False,
    plot: options.Plot = None,
    as_json: flag.Json = False,
) -> None:
    """Measure how fast each preset answers the same requests.

    NFE: forwards; TPF: tokens of text per forward; drawing: share of the time that the live view takes.

    The rows of --against come first, and every row is divided by them. The chart has tokens per second over TPF.
    """
    from diffucli.bench import profile as profiling
    from diffucli.bench import report
    from diffucli.bench import speed as speeds
    from diffucli.bench.writers import REFERENCE, writers

    options.require_picture(plot)
    texts, yardsticks = speeds.requests_of(requests.prompts, long=requests.long), options.names(against)
    work = speeds.Work(texts, rounds, requests.length, requests.full)
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
