"""`diffu eval`: how good a checkpoint is, by running what it writes."""

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
    from diffucli.eval.evaluate import Result
    from diffucli.eval.passk import Report as Rates
    from diffucli.eval.problems import AnyProblem


@grouped
def evaluate(
    choice: Choice,
    report: Report,
    suite: Annotated[Suite, typer.Option(help="Which problems.")] = Suite.mini,
    samples: Annotated[int, typer.Option("-n", "--samples", min=1, help="Samples of each problem.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems of each group at most.")] = None,
) -> None:
    """Measure a model on problems it was not trained on; what it writes is run in the sandbox.

    Samples of a problem take the seed and those after it; pass@10 is told where there are ten. NFE: forwards spent;
    tokens: of text; TPF: tokens a forward; s: seconds of decoding. -v tells of every sample.
    """
    from diffucli.cli import session
    from diffucli.eval.table import table

    if samples > 1:
        _refuse_equal(session.policy_of(choice))
    at_work = session.begin(choice, report, live=Live.never, fps=1)
    rates = measure(at_work, problems(suite, limit=limit), samples=samples)
    policy = at_work.engine.policy
    if report.json:
        how = {"preset": choice.preset, "temperature": policy.sampling.temperature, "seed": policy.seed}
        groups = [{**asdict(each), "tpf": each.tpf, "rate": each.rate} for each in rates]
        report.object("diffu.eval/1", 0, suite=suite, model=at_work.entry.name, samples=samples, **how, groups=groups)
    else:
        streams.put(table(rates).encode())
        report.notice(f"seed {policy.seed} · {samples} a problem · {choice.preset}")


def measure(session: Session, asked: Sequence[AnyProblem], *, samples: int) -> list[Rates]:
    """The reports on every group of `asked`, with progress on stderr; seeds count up from the session's own."""
    from diffucli.eval.evaluate import evaluate, solver
    from diffucli.eval.passk import reports

    first = session.engine.policy.seed
    results = evaluate(asked, solver(session.engine), seeds=range(first, first + samples))
    return reports(_watched(results, len(asked) * samples, session.report))


def _watched(results: Iterable[Result], total: int, report: Report) -> Iterator[Result]:
    """Every result, told of on the way."""
    passed = 0
    with meter("evaluating", report) as show:
        for count, result in enumerate(results, start=1):
            passed += result.verdict.passed
            show(count / total, f"{count} of {total} · {passed} passed")
            report.note(f"{result.verdict.reason:8} {_title(result.problem)}")
            yield result


def _title(problem: AnyProblem) -> str:
    from diffucli.eval.problems import Problem

    return problem.request if isinstance(problem, Problem) else problem.expected


def _refuse_equal(policy: Policy) -> None:
    """UsageError where every sample of a problem would be the same: no draw, neither of tokens nor of the order."""
    from diffucli.decode.commit import Independent, TopK

    commit = policy.commit
    drawn = isinstance(commit, Independent) or (isinstance(commit, TopK) and commit.alg_temp > 0)
    if policy.sampling.temperature == 0 and not drawn:
        raise UsageError("without a temperature all samples of a problem are the same", hint="add --temp 0.7")
