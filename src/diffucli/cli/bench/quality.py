"""`diffu bench quality`: pass@1 by preset on the same problems."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report

EXAMPLES = flag.examples("diffu bench quality -n 50", "diffu bench quality --preset fast --preset exact")


@grouped
def quality(
    subject: options.Subject,
    preset: options.Presets = None,
    against: options.Yardsticks = None,
    problems: Annotated[int, typer.Option("-n", "--problems", metavar="N", min=1, help="Number of problems.")] = 100,
    long: options.Long = False,
    length: options.Length = None,
    plot: options.Plot = None,
    unconfined: flag.Unconfined = False,
    as_json: flag.Json = False,
) -> None:
    """Measure how many problems each preset solves, and by how many points it differs from the first row.

    The problems are those of `diffu eval` that ask for new code. Every figure is ± one standard error.

    won: solved by this row alone; lost: solved by the first row alone. The chart has tokens per second over pass@1.
    """
    from diffucli.bench import quality as qualities
    from diffucli.bench import report
    from diffucli.bench.writers import writers
    from diffucli.eval import suites
    from diffucli.eval.problems import judge
    from diffucli.sandbox import Confinement, strongest

    options.require_picture(plot)
    confinement: Confinement = "none" if unconfined else strongest()
    judging = partial(judge, confinement=confinement)
    chosen = (suites.long_requests if long else suites.requests)(suites.Suite.mini, problems)
    loaded = output.load(subject)
    contenders = writers(loaded.checkpoint, options.policies(preset), options.names(against))
    with meter("measuring", Report(json=as_json)) as show:
        found = qualities.measure(
            contenders, chosen, length=length, judge=judging, show=lambda done: show(done, "problems")
        )
    if plot:
        report.plot(qualities.points(found), plot, label="pass@1, percent")
    output.put_loaded("quality", loaded, qualities.findings(found, confinement), as_json=as_json)
