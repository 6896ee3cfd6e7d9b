"""`diffu eval`: measures how good a checkpoint is by running what it writes."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.eval_input import EvalOutput, ProblemInput
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.cli.workers import Workers, executor_of
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.cli.outlets import Outlet
    from diffucli.eval.judging import JudgedSample

EXAMPLES = flag.examples(
    "diffu eval -n 10 --temp 0.7 --limit 5",
    "diffu eval --suite humaneval -o runs/humaneval",
)
K_HELP = "The k of pass@k, such as 1,10; none may be larger than -n. (default: 1 and 10, as far as there are samples)"
FROM_HELP = "Judge the samples of FILE, and load no model."
RECIPE_HELP = "Write as a paper did where no other options are given: diffucoder-paper."
TOGETHER_HELP = "Answers that a process writes at a time."


@grouped
def evaluate(
    choice: Choice,
    report: Report,
    given: ProblemInput,
    out: EvalOutput,
    samples: Annotated[
        int, typer.Option("-n", "--samples", metavar="N", min=1, help="Answers to each problem; each has its own seed.")
    ] = 1,
    k: Annotated[str | None, typer.Option("--k", metavar="K,…", help=K_HELP)] = None,
    length: Annotated[
        int | None, typer.Option("--length", metavar="N", min=1, help="Most tokens of an answer. (default: 256)")
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", metavar="NAME", help=RECIPE_HELP)] = None,
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help=FROM_HELP)] = None,
    workers: Workers = "1",
    together: Annotated[int, typer.Option("--batch-size", metavar="N", min=1, max=1024, help=TOGETHER_HELP)] = 8,
    unconfined: flag.Unconfined = False,
) -> None:
    """Measure how many problems a model solves. It was not trained on them; its answers run in a sandbox.

    The first answer uses the seed, the next ones the seeds after it. pass@10 is shown if there are ten answers.

    NFE: forwards; tokens: of text; TPF: tokens per forward; s: seconds of decoding. -v prints how each answer fared.
    """
    from diffucli.cli import evaluation
    from diffucli.sandbox import Confinement, strongest

    plan = evaluation.EvalPlan.of(choice, recipe, length=length, samples=samples, ks=_ks(k, samples))
    executor = executor_of(workers, together=together, device=choice.device)
    outlet = out.check()
    confinement: Confinement = "none" if unconfined or out.samples_only else strongest()
    chosen = given.problems()
    if source is not None:
        if given.suite == Suite.mini:
            raise UsageError("--from judges answers to published problems", hint="name their --suite")
        there = evaluation.of_file(source, chosen, confinement)
        evaluation.tell(plan, given, out, list(watched(there, None, report=report)), report, confinement)
        return
    plan.warn(chosen, report)
    with evaluation.opened(plan, given, out, chosen) as run, told_where_it_stopped(out.folder, report):
        judge = evaluation.judge_of(out, confinement)
        fresh = run.fresh(executor, plan.worker(choice, together), judge)
        shown = recorded(watched(fresh, run.missing, report=report), out.records, outlet)
        results = [*run.known, *shown]
    evaluation.tell(plan, given, out, results, report, confinement)


@contextmanager
def told_where_it_stopped(folder: Path | None, report: Report) -> Iterator[None]:
    """Says within that what Ctrl-C breaks off can be gone on with, if there is a folder."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            report.say(f"stopped; the same command goes on from {folder}")
        raise


def _ks(text: str | None, samples: int) -> tuple[int, ...]:
    """The numbers of --k. UsageError: it holds something else, or more than there are samples."""
    from diffucli.eval.report import KS

    if text is None:
        return KS
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", text) or 0 in (found := tuple(map(int, text.split(",")))):
        raise UsageError(f"--k {text} is no list of numbers", hint="write 1,10")
    if max(found) > samples:
        raise UsageError(f"pass@{max(found)} needs {max(found)} answers to a problem", hint=f"add -n {max(found)}")
    return found


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


def watched(results: Iterable[JudgedSample], total: int | None, *, report: Report) -> Iterator[JudgedSample]:
    """Passes results on and shows on stderr how many of `total` there are. None: nobody knows how many."""
    passed = 0
    with meter("evaluating", report) as show:
        for count, result in enumerate(results, start=1):
            passed += result.judgement.passed
            show(count / (total or 2 * count), f"{count} of {total or 'all'} · {passed} passed")
            report.note(f"{result.judgement.reason:8} {result.problem.title}")
            yield result
