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
    from collections.abc import Iterable, Iterator, Sequence

    from diffucli.cli.session import Session
    from diffucli.decode.policy import Policy
    from diffucli.eval.evaluate import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.eval.report import GroupReport


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
    from diffucli.eval.report import table

    if samples > 1:
        _require_sampling(choice.decoding().policy())
    opened = session.begin(choice, report, live=Live.never, fps=1)
    groups = measure(opened, problems(suite, limit=limit), samples=samples)
    policy = opened.policy
    if report.json:
        how = {"preset": choice.preset, "temperature": policy.sampling.temperature, "seed": policy.seed}
        values = [{**asdict(each), "tpf": each.tpf, "rate": each.rate} for each in groups]
        report.object("diffu.eval/1", 0, suite=suite, model=opened.entry.name, samples=samples, **how, groups=values)
    else:
        streams.put(f"{table(groups)}\n".encode())
        report.notice(f"seed {policy.seed} · {samples} a problem · {choice.preset}")


def measure(session: Session, problems: Sequence[Problem], *, samples: int) -> list[GroupReport]:
    """Reports on every group of `problems`, with progress on stderr; seeds count up from the session's seed."""
    from diffucli.eval.evaluate import Writer, evaluate, solver
    from diffucli.eval.report import group_reports

    first, writer = session.policy.seed, Writer(session.checkpoint, session.policy)
    results = evaluate(problems, solver(writer), seeds=range(first, first + samples))
    return group_reports(_with_progress(results, len(problems) * samples, session.report))


def _with_progress(results: Iterable[JudgedSample], total: int, report: Report) -> Iterator[JudgedSample]:
    from diffucli.eval.problems import CodeProblem

    passed = 0
    with meter("evaluating", report) as show:
        for count, result in enumerate(results, start=1):
            passed += result.judgement.passed
            show(count / total, f"{count} of {total} · {passed} passed")
            problem = result.problem
            title = problem.request if isinstance(problem, CodeProblem) else problem.expected
            report.note(f"{result.judgement.reason:8} {title}")
            yield result


def _require_sampling(policy: Policy) -> None:
    """Raises UsageError if all samples of a problem would be equal: neither tokens nor their order are random."""
    if policy.sampling.temperature == 0 and not policy.commit.drawn:
        raise UsageError("without a temperature all samples of a problem are the same", hint="add --temp 0.7")
