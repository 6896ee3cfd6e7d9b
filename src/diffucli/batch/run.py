"""A batch from its rows to its file: an executor writes what is missing, and only this process writes the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffucli.batch.rows import FillRow, seed_of
from diffucli.batch.worker import SeededRow, WrittenRow
from diffucli.errors import Unparsable, UsageError
from diffucli.executors.executor import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from diffucli.batch.answers import AnswerFile, Sample
    from diffucli.batch.rows import TaskRow
    from diffucli.batch.worker import RowWorker
    from diffucli.executors.executor import Executor


@dataclass(frozen=True, slots=True)
class RowDone:
    """A sample that was written. ok: it was accepted. tokens, nfe: of text, and forwards."""

    ok: bool
    tokens: int = 0
    nfe: float = 0.0


def missing(rows: Sequence[TaskRow], samples: int, file: AnswerFile) -> dict[Sample, TaskRow]:
    """The samples that the file has no line of, in the order of the rows.

    UsageError: a row asks for something else than when it was answered.
    """
    found: dict[Sample, TaskRow] = {}
    for row in rows:
        for sample in range(samples):
            line = file.lines.get((row.key, sample))
            if line is None:
                found[row.key, sample] = row
            elif line.digest != row.digest:
                message = f"line {row.line} asks for something else than when {row.key!r} was answered"
                raise UsageError(message, hint="give it another id, or name another file with -o")
    return found


def run(
    executor: Executor, worker: RowWorker, found: Mapping[Sample, TaskRow], file: AnswerFile, *, seed: int
) -> Iterator[RowDone]:
    """Writes samples and adds a line for each to the file, as they come. OSError: the file cannot be written."""
    names = {f"{sample}/{key}": (key, sample) for key, sample in found}
    items = ((name, SeededRow(found[each].asks, seed_of(seed, *each))) for name, each in names.items())
    for name, outcome in executor.run(worker, items):
        key, sample = names[name]
        row = found[key, sample]
        file.append(values_of(row, sample, outcome, seed=seed_of(seed, key, sample)))
        yield _done(outcome)


def values_of(row: TaskRow, sample: int, outcome: WrittenRow | Failure, *, seed: int) -> dict[str, Any]:
    """The line of a sample: only what is the same on every machine and in every company of rows."""
    about: dict[str, Any] = {"id": row.key, "sample": sample, "seed": seed, "digest": row.digest}
    meta = {} if row.meta is None else {"meta": row.meta}
    match outcome:
        case Failure(message, hint, code):
            return {**about, "status": code, "error": message, "hint": hint, **meta}
        case WrittenRow(refusal=""):
            return {**about, "status": 0, **_text(row, outcome), **meta}
        case WrittenRow(refusal=message, hint=hint):
            refused = {"status": Unparsable.exit_code, "error": message, "hint": hint}
            return {**about, **refused, **_text(row, outcome), **meta}


def _text(row: TaskRow, written: WrittenRow) -> dict[str, Any]:
    pieces = {"pieces": list(written.pieces)} if isinstance(row.asks, FillRow) else {}
    of_text = {"parses": written.parses, "ended": written.ended, "doubtful": written.doubt.doubtful}
    return {"text": written.text, **pieces, **of_text, "tokens": written.tokens}


def _done(outcome: WrittenRow | Failure) -> RowDone:
    match outcome:
        case Failure():
            return RowDone(ok=False)
        case WrittenRow():
            return RowDone(not outcome.refusal, outcome.tokens, outcome.nfe)


def in_order(rows: Sequence[TaskRow], samples: int, file: AnswerFile) -> list[Sample] | None:
    """The lines of the file in the order of the rows, others behind them; None if they are in order already."""
    wanted = [(row.key, sample) for row in rows for sample in range(samples) if (row.key, sample) in file.lines]
    chosen = set(wanted)
    ordered = [*wanted, *(sample for sample in file.lines if sample not in chosen)]
    return None if ordered == list(file.lines) else ordered


def accepted(file: AnswerFile) -> list[Sample]:
    """The lines of samples that did not fail."""
    return [sample for sample, line in file.lines.items() if not line.status]


def failures(rows: Sequence[TaskRow], samples: int, file: AnswerFile) -> int:
    """How many samples of these rows failed."""
    found = [file.lines.get((row.key, sample)) for row in rows for sample in range(samples)]
    return sum(line is not None and line.status != 0 for line in found)


def shard_of(rows: Sequence[TaskRow], number: int, of: int) -> list[TaskRow]:
    """Every row number `number`, `number` + `of` and so on, from 1."""
    return list(rows[number - 1 :: of])
