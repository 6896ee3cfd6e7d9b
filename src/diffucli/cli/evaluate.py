"""`diffu eval`: measures how good a checkpoint is by running what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.eval.suites import Suite, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.eval.evaluate import JudgedSample

EXAMPLES = flag.examples(
    "diffu eval --limit 20",
    "diffu eval -n 10 --temp 0.7 --limit 5 --json",
)


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
) -> None:
    """Measure how many problems a model solves. It was not trained on them; its answers run in the sandbox.

    The first answer uses the seed, the next ones the seeds after it. pass@10 is shown if there are ten answers.

    NFE: forwards; tokens: of text; TPF: tokens per forward; s: seconds of decoding. -v prints how each answer fared.
    """
    from diffucli.cli import session
    from diffucli.eval import evaluate as evaluations
    from diffucli.eval.report import group_reports, table, values

    if samples > 1:
        evaluations.require_sampling(choice.decoding().policy())
    opened = session.begin(choice, report, live="never", fps=1)
    policy, chosen = opened.policy, problems(suite, limit=limit)
    solve = evaluations.solver(evaluations.Writer(opened.checkpoint, policy))
    results = evaluations.evaluate(chosen, solve, seeds=range(policy.seed, policy.seed + samples))
    groups = group_reports(watched(results, len(chosen) * samples, report=report))
    if report.json:
        how = {"preset": choice.preset, "temperature": policy.sampling.temperature, "seed": policy.seed}
        about = {"suite": suite, "model": opened.entry.name, "samples": samples, **how}
        report.object("diffu.eval/1", 0, **about, groups=[values(each) for each in groups])
    else:
        streams.put(f"{table(groups)}\n".encode())
        report.notice(f"seed {policy.seed} · {samples} a problem · {choice.preset}")


def watched(results: Iterable[JudgedSample], total: int, *, report: Report) -> Iterator[JudgedSample]:
    """Passes results on and shows on stderr how many of `total` there are."""
    passed = 0
    with meter("evaluating", report) as show:
        for count, result in enumerate(results, start=1):
            passed += result.judgement.passed
            show(count / total, f"{count} of {total} · {passed} passed")
            report.note(f"{result.judgement.reason:8} {result.problem.title}")
            yield result
