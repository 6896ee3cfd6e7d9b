"""`diffu eval`: measures how good a checkpoint is by running what it writes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice, Live
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.decode.policy import Policy
    from diffucli.eval.evaluate import JudgedSample


@grouped
def evaluate(
    choice: Choice,
    report: Report,
    suite: Annotated[Suite, typer.Option(help="Suite of problems.")] = Suite.mini,
    samples: Annotated[int, typer.Option("-n", "--samples", min=1, help="Samples of each problem.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems of each group at most.")] = None,
) -> None:
    """Measure a model on problems it was not trained on; its answers run in the sandbox.

    The first sample of a problem uses the seed, the next ones the seeds after it. pass@10 is shown if there are ten
    samples. NFE: forwards; tokens: of text; TPF: tokens per forward; s: seconds of decoding. -v shows every sample.
    """
    from diffucli.cli import session
    from diffucli.eval import evaluate as evaluations
    from diffucli.eval.evaluate import Writer, solver
    from diffucli.eval.report import group_reports, table

    if samples > 1:
        _require_sampling(choice.decoding().policy())
    opened = session.begin(choice, report, live=Live.never, fps=1)
    policy, chosen = opened.policy, problems(suite, limit=limit)
    seeds = range(policy.seed, policy.seed + samples)
    results = evaluations.evaluate(chosen, solver(Writer(opened.checkpoint, policy)), seeds=seeds)
    groups = group_reports(watched(results, len(chosen) * samples, report=report))
    if report.json:
        how = {"preset": choice.preset, "temperature": policy.sampling.temperature, "seed": policy.seed}
        values = [{**asdict(each), "tpf": each.tpf, "rate": each.rate} for each in groups]
        report.object("diffu.eval/1", 0, suite=suite, model=opened.entry.name, samples=samples, **how, groups=values)
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


def _require_sampling(policy: Policy) -> None:
    """Raises UsageError if all samples of a problem would be equal: neither tokens nor their order are random."""
    if policy.sampling.temperature == 0 and not policy.commit.drawn:
        raise UsageError("without a temperature all samples of a problem are the same", hint="add --temp 0.7")
