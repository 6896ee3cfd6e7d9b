"""`diffu batch`: many requests from a file, answered into another one that can be gone on with after any end."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from diffucli import files
from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.destination import require_target
from diffucli.cli.effort import Rounds
from diffucli.cli.groups import grouped
from diffucli.cli.options import Choice
from diffucli.cli.progress import meter
from diffucli.cli.report import Report
from diffucli.cli.workers import Workers, executor_of
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.batch.rows import TaskRow
    from diffucli.batch.run import RowDone

EXAMPLES = flag.examples(
    "diffu batch tasks.jsonl -o answers.jsonl",
    "diffu batch tasks.jsonl -o answers.jsonl --workers 2 -n 4 --temp 0.7",
)
TASKS_HELP = 'Rows such as {"prompt": "…"} or {"text": "… ??? …"}, one a line; `-` is stdin.'
ANSWERS_HELP = "File of the answers; what it has already is not written again."
SAMPLES_HELP = "Answers to each row; each has its own seed."
SHARD_HELP = "Only the I-th of N equal parts of the rows, as for one of N machines."
ORDERED_HELP = "Put the answers into the order of the rows at the end."
RETRY_HELP = "Write the rows again that failed."
TOGETHER_HELP = "Rows that a process writes at a time."
FAILED = 1  # exit code
ENOUGH_LINE = 20_000_001  # bytes of a line that are read; a row has fewer


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a batch. before: answers that were there. written, failed: now; tokens and nfe are theirs."""

    before: int = 0
    written: int = 0
    failed: int = 0
    tokens: int = 0
    nfe: float = 0.0

    def plus(self, done: RowDone) -> Tally:
        """With another answer."""
        return Tally(
            self.before,
            self.written + done.ok,
            self.failed + (not done.ok),
            self.tokens + done.tokens,
            self.nfe + done.nfe,
        )


@grouped
def batch(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help=TASKS_HELP, show_default=False)],
    *,
    output: Annotated[Path, flag.output("-o", "--output", metavar="FILE", parser=flag.file, help=ANSWERS_HELP)],
    workers: Workers = "1",
    shard: Annotated[str | None, typer.Option("--shard", metavar="I/N", help=SHARD_HELP)] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="K", min=1, help=SAMPLES_HELP)] = 1,
    ordered: Annotated[bool, flag.output("--ordered", metavar=flag.FLAG, help=ORDERED_HELP)] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", metavar=flag.FLAG, help=RETRY_HELP)] = False,
    together: Annotated[int, typer.Option("--batch-size", metavar="N", min=1, max=1024, help=TOGETHER_HELP)] = 8,
    verify: flag.Verification = "error",
    repair: Rounds = 2,
    report: Report,
    choice: Choice,
) -> None:
    """Answer the rows of a file, many at once. The same command goes on after any end, until all are answered.

    A row that fails is an answer with an error and does not stop the others; the exit code is 1 then. The text of a row
    depends on its id, the seed and the settings alone, not on the number of workers.
    """
    if flag.unless_stdout(output) is None:
        raise UsageError(f"{output} is stdout, from which no batch can go on", hint="name a file with -o")
    executor = executor_of(workers, together=together, device=choice.device)
    part = _shard(shard)
    options = choice.decoding()
    options.policy()  # refuses what no model can honour before one is looked for
    from diffucli.batch import run as running
    from diffucli.model import registry

    entry = registry.find(choice.model)
    policy = options.policy(registry.family(entry))
    if samples > 1:
        from diffucli.tasks.options import require_sampling

        require_sampling(policy)
    rows = running.shard_of(_rows(tasks, output), *part)
    require_target(output)
    from diffucli.batch.answers import opened, settings_of, settle
    from diffucli.batch.worker import RowWorker
    from diffucli.tasks.engine import Effort

    adapter = None if choice.adapter is None else registry.find_adapter(choice.adapter).name
    revision = entry.record.revision if entry.record else None
    of_model = {"model": entry.name, "revision": revision, "adapter": adapter}
    of_texts = {"quant": choice.quant, "samples": samples, "verify": verify, "repair": repair}
    worker = RowWorker(
        entry.name,
        policy,
        Effort(repair=repair),
        device=choice.device,
        quant=choice.quant,
        verify=verify,
        together=together,
        adapter=adapter,
    )
    begun = time.monotonic()
    with opened(output) as file:
        seed = choice.seed if choice.seed is not None else (settings_of(file) or {}).get("seed", policy.seed)
        settle(file, {**of_model, **asdict(options), **of_texts, "seed": seed})
        if retry_failed:
            file.rewrite(running.accepted(file))
        found = running.missing(rows, samples, file)
        tally = Tally(before=len(rows) * samples - len(found))
        if found:
            tally = _run(running.run(executor, worker, found, file, seed=seed), tally, len(found), report)
            file.sync()
        if ordered and (order := running.in_order(rows, samples, file)):
            file.rewrite(order)
        failed = running.failures(rows, samples, file)
    _end(report, tally, failed=failed, seconds=time.monotonic() - begun, values={"seed": seed, "file": str(output)})


def _run(done: Iterator[RowDone], tally: Tally, total: int, report: Report) -> Tally:
    """Runs a batch to its end and shows how far it is."""
    with meter("batch", report) as show:
        show(0, f"0 of {total}")
        try:
            for count, one in enumerate(done, start=1):
                tally = tally.plus(one)
                show(count / total, f"{count} of {total} · {tally.failed} failed")
        except KeyboardInterrupt:
            count = tally.written + tally.failed
            report.say(f"stopped after {count} of {total}; the same command goes on from there")
            raise
    return tally


def _end(report: Report, tally: Tally, *, failed: int, seconds: float, values: dict[str, Any]) -> None:
    """Says how a batch ended, and ends the command. failed: of all answers in the file to these rows."""
    from diffucli.units import format_rate

    status = FAILED if failed else 0
    if report.json:
        figures = {**asdict(tally), "failures": failed, "seconds": round(seconds, 3)}
        report.object("diffu.batch/1", status, **values, **figures)
    else:
        count = tally.written + tally.failed
        rate = format_rate(tally.tokens, seconds)
        speed = f" · {seconds:.1f} s{rate and f' · {rate}'} · {tally.nfe:.0f} forwards" if count else ""
        report.say(f"{count} written, {tally.before} were there, {failed} failed{speed}")
    if status:
        raise typer.Exit(status)


def _shard(text: str | None) -> tuple[int, int]:
    """The number of a part, and how many parts there are."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text or "1/1")
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of:
        raise UsageError(f"--shard {text} is no part", hint="write 1/4 for the first of four, 4/4 for the last")
    return number, of


def _rows(tasks: Path, output: Path) -> list[TaskRow]:
    """The rows of the file, of stdin (`-`) or of another descriptor. UsageError: it holds something else."""
    from diffucli.batch import rows

    tasks = streams.named(tasks)
    if files.exists(output) and files.exists(tasks) and output.samefile(tasks):
        raise UsageError(f"{output} is the file of the rows", hint="name another file with -o")
    if tasks == streams.STDIN:
        return rows.read(_lines(sys.stdin.buffer), "stdin")
    number = files.descriptor(tasks)
    with open(tasks if number is None else number, "rb", closefd=number is None) as file:
        return rows.read(_lines(file), str(tasks))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(ENOUGH_LINE), b"")
