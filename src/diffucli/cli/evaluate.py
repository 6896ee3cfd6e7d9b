"""`diffu eval`: measures how good a checkpoint is by running what it writes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import outlets, streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite, of_groups, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from diffucli.cli.outlets import Outlet
    from diffucli.eval.evaluate import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.eval.report import GroupReport

EXAMPLES = flag.examples(
    "diffu eval --limit 20",
    "diffu eval -n 10 --temp 0.7 --limit 5 --json",
)
GROUP_HELP = "Only groups with TEXT in their names, such as repair. Can be repeated."
RECORDS_HELP = "Write each answer with its judgement to FILE, a JSON object a line."


@grouped
def evaluate(
    choice: Choice,
    report: Report,
    suite: Annotated[Suite, typer.Option("--suite", help="Problems to solve.")] = Suite.mini,
    samples: Annotated[
        int, typer.Option("-n", "--samples", metavar="N", min=1, help="Answers to each problem; each has its own seed.")
    ] = 1,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Most problems of a group. (default: all)")
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", metavar="TEXT", help=GROUP_HELP)] = None,
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Holes only: at their true length, at fixed lengths, and by default.")
    ] = False,
    records: Annotated[
        Path | None, typer.Option("--records", metavar="FILE", parser=flag.file, help=RECORDS_HELP)
    ] = None,
    unconfined: flag.Unconfined = False,
) -> None:
    """Measure how many problems a model solves. It was not trained on them; its answers run in a sandbox.

    The first answer uses the seed, the next ones the seeds after it. pass@10 is shown if there are ten answers.

    NFE: forwards; tokens: of text; TPF: tokens per forward; s: seconds of decoding. -v prints how each answer fared.
    """
    from diffucli.cli import session
    from diffucli.cli.destination import require_target
    from diffucli.eval import evaluate as evaluations
    from diffucli.eval import lengths as by_length
    from diffucli.eval.problems import judge
    from diffucli.eval.report import values
    from diffucli.model import registry
    from diffucli.sandbox import DESCRIPTIONS, Confinement, strongest
    from diffucli.tasks.options import require_sampling

    if samples > 1:
        require_sampling(choice.decoding().policy(registry.family(registry.find(choice.model))))
    outlet = outlets.opened(records) if records else None
    if records and not outlet:
        require_target(records)
    confinement: Confinement = "none" if unconfined else strongest()
    judging = partial(judge, confinement=confinement)
    chosen = _chosen(suite, limit, group or (), lengths=lengths)
    opened = session.begin(choice, report, flag.Showing(live="never"))
    policy = opened.policy
    writer, seeds = evaluations.Writer(opened.checkpoint, policy), range(policy.seed, policy.seed + samples)
    total = len(chosen) * samples * (len(by_length.LENGTHS) if lengths else 1)
    results = (
        by_length.by_lengths(by_length.holes_of(chosen), writer, seeds=seeds, judge=judging)
        if lengths
        else evaluations.evaluate(chosen, evaluations.solver(writer), seeds=seeds, judge=judging)
    )
    reports = by_length.length_reports(recorded(watched(results, total, report=report), records, outlet))
    if report.json:
        how = {"samples": samples, **opened.values(), "seed": policy.seed}
        about = {"suite": suite, **how, "confinement": confinement}
        groups = [{**values(one), "length": length} for length, each in reports.items() for one in each]
        report.object("diffu.eval/1", 0, **about, groups=groups)
    else:
        streams.put(f"{_table(reports)}\n\nThe code was {DESCRIPTIONS[confinement]}.\n".encode())
        report.notice(f"seed {policy.seed} · {samples} a problem · {choice.preset}")


def _chosen(suite: Suite, limit: int | None, groups: Sequence[str], *, lengths: bool) -> list[Problem]:
    """The problems of a suite, or of some of its groups. lengths: those with a hole. UsageError: there are none."""
    from diffucli.eval.lengths import holes_of

    found = problems(suite, limit=limit)
    chosen = of_groups(found, groups) if groups else found
    if not lengths:
        return chosen
    if not (holes := holes_of(chosen)):
        raise UsageError("--lengths is for holes, and these groups have none", hint='add --group "everyday hole"')
    return [*holes]


def _table(reports: Mapping[str, Sequence[GroupReport]]) -> str:
    """The table of the reports by length; of the default alone, that of all figures."""
    from diffucli.eval import lengths, report
    from diffucli.eval.evaluate import AUTO

    return lengths.table(reports) if len(reports) > 1 else report.table(reports.get(AUTO, []))


def recorded(
    results: Iterable[JudgedSample], path: Path | None, outlet: Outlet | None = None
) -> Iterator[JudgedSample]:
    """Passes results on and writes a line for each to `path`, if there is one. WriteFailed: the system refuses it.

    outlet: the stream that `path` leads to.
    """
    from diffucli.eval.report import record

    if path is None:
        yield from results
        return
    with streams.as_write_failed(str(path)):
        place, ours = (outlet.descriptor, outlet.is_ours) if outlet else (path, True)
        file = open(place, "w", encoding="utf-8", buffering=1, closefd=ours)  # noqa: SIM115 — whole lines at once
    with file:
        for result in results:
            with streams.as_write_failed(str(path)):
                file.write(f"{json.dumps(record(result))}\n")
            yield result


def watched(results: Iterable[JudgedSample], total: int, *, report: Report) -> Iterator[JudgedSample]:
    """Passes results on and shows on stderr how many of `total` there are."""
    passed = 0
    with meter("evaluating", report) as show:
        for count, result in enumerate(results, start=1):
            passed += result.judgement.passed
            show(count / total, f"{count} of {total} · {passed} passed")
            report.note(f"{result.judgement.reason:8} {result.problem.title}")
            yield result
