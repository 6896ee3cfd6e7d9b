"""`diffu eval`: measures how good a checkpoint is by running what it writes."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import outlets, streams
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.cli.workers import Workers, executor_of
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite, of_groups, problems, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.cli.outlets import Outlet
    from diffucli.eval.evaluate import JudgedSample
    from diffucli.eval.problems import Problem

EXAMPLES = flag.examples(
    "diffu eval -n 10 --temp 0.7 --limit 5",
    "diffu eval --suite humaneval -o runs/humaneval",
)
SUITE_HELP = (
    "Problems to solve: mini, humaneval, humaneval+, mbpp, mbpp+, infill-single, infill-multi, infill-span, or a FILE "
    "of such problems."
)
DATA_HELP = "The file of the suite's problems, where no package or variable names it."
K_HELP = "The k of pass@k, such as 1,10; none may be larger than -n. (default: 1 and 10, as far as there are samples)"
GROUP_HELP = "Only groups with TEXT in their names, such as repair. Can be repeated."
RECORDS_HELP = "Write each answer with its judgement to FILE, a JSON object a line."
FOLDER_HELP = "Write samples, report and chart into this folder; the same command goes on from there."
ONLY_HELP = "Write the samples into the folder of -o and judge none."
FROM_HELP = "Judge the samples of FILE, and load no model."
RECIPE_HELP = "Write as a paper did where no other options are given: diffucoder-paper."
TOGETHER_HELP = "Answers that a process writes at a time."


@dataclass(frozen=True, slots=True)
class ProblemInput:
    """Which problems are solved."""

    suite: Annotated[str, typer.Option("--suite", metavar="NAME|FILE", help=SUITE_HELP)] = "mini"
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help=DATA_HELP)] = None
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Most problems of a group. (default: all)")
    ] = None
    group: Annotated[list[str] | None, typer.Option("--group", metavar="TEXT", help=GROUP_HELP)] = None
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Holes only: at their true length, at fixed lengths, and by default.")
    ] = False

    def problems(self) -> list[Problem]:
        """The problems. UsageError: there are none."""
        from diffucli.eval.lengths import holes_of

        found = self._all()
        chosen = of_groups(found, self.group) if self.group else found
        if not self.lengths:
            return chosen
        if not (holes := holes_of(chosen)):
            raise UsageError("--lengths is for holes, and these groups have none", hint='add --group "everyday hole"')
        return [*holes]

    def _all(self) -> list[Problem]:
        from diffucli import files
        from diffucli.eval import published

        if self.suite == Suite.mini:
            if self.data:
                raise UsageError("the suite mini has no file", hint="leave --data out, or name another --suite")
            return problems(Suite.mini, limit=self.limit)
        if suite := published.SUITES.get(self.suite):
            return some(published.read(suite.path(self.data), group=suite.name, form=suite.form), self.limit)
        if not files.exists(Path(self.suite)):
            known = ", ".join([Suite.mini, *published.SUITES])
            raise UsageError(f"there is no suite {self.suite!r}", hint=f"name one of {known}, or a file")
        return some(published.read(Path(self.suite), group=Path(self.suite).name), self.limit)


@dataclass(frozen=True, slots=True)
class EvalOutput:
    """What is written besides the table."""

    folder: Annotated[Path | None, flag.output("-o", "--output", metavar="FOLDER", help=FOLDER_HELP)] = None
    records: Annotated[Path | None, typer.Option("--records", metavar="FILE", parser=flag.file, help=RECORDS_HELP)] = (
        None
    )
    samples_only: Annotated[bool, typer.Option("--samples-only", metavar=flag.FLAG, help=ONLY_HELP)] = False

    def check(self) -> Outlet | None:
        """The stream that the records go to, if they do. UsageError, WriteFailed: something cannot be written."""
        from diffucli.cli.destination import require_target

        if self.samples_only and self.folder is None:
            raise UsageError("--samples-only has no folder for the samples", hint="add -o FOLDER")
        if self.folder is not None:
            with streams.as_write_failed(str(self.folder)):
                self.folder.mkdir(parents=True, exist_ok=True)
        if self.records is None:
            return None
        outlet = outlets.opened(self.records)
        if not outlet:
            require_target(self.records)
        return outlet


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

    plan = evaluation.Plan.of(choice, recipe, length=length, samples=samples, ks=_ks(k, samples))
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
