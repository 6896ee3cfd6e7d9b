"""Evaluates a trained checkpoint and writes its model card."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.batch.worker import RowWorker
from diffucli.eval import asking, lengths
from diffucli.eval.calibrate import KINDS, calibrate, cases, curve, kind_of
from diffucli.eval.judging import AUTO, judged
from diffucli.eval.problems import CodeProblem, judge
from diffucli.eval.report import group_reports, table
from diffucli.eval.suites import Suite, problems
from diffucli.executors.executor import ThisProcess
from diffucli.lab.chart import require_matplotlib
from diffucli.mini import training_log
from diffucli.mini.card import write_card
from diffucli.model import registry
from diffucli.sandbox import DESCRIPTIONS
from diffucli.tasks import doubt
from diffucli.tasks.engine import DEFAULT_EFFORT
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.tasks.options import DecodingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from diffucli.eval.calibrate import Case
    from diffucli.eval.judging import JudgedSample
    from diffucli.eval.problems import Problem, Sample
    from diffucli.sandbox import Confinement
    from diffucli.tasks.doubt import Calibration, Kind

    Watch = Callable[[Iterable[JudgedSample], int], Iterable[JudgedSample]]

SAMPLES, TEMPERATURE = 10, 0.7  # of the second table
SAMPLED_LIMIT = 20  # problems of each group in the second table
LENGTHS_LIMIT = 20  # problems of each group in the third table, which has seven answers to each


def make(
    folder: Path,
    card: Path,
    *,
    confinement: Confinement,
    watch: Watch,
    limit: int | None = None,
    picture: bool = True,
) -> None:
    """Evaluates the checkpoint in `folder` and writes its card.

    confinement: of the code that it writes.
    watch: gets the samples as they are judged, and their number; it returns them, and may show progress meanwhile.
    limit: problems of each group at most. Raises UsageError if `folder` has no training log, or if a picture is wanted
    without matplotlib.
    """
    if picture:
        require_matplotlib("leave it out with --no-picture")
    judging = partial(judge, confinement=confinement)
    log, entry = training_log.read(folder), registry.find(str(files.real(folder)))
    few = min(limit or SAMPLED_LIMIT, SAMPLED_LIMIT)

    def measured(
        found: Sequence[Problem], *, samples: int = 1, temperature: float = 0.0, by: Sequence[str] = (AUTO,)
    ) -> list[JudgedSample]:
        policy = DecodingOptions(seed=0, temperature=temperature).policy()
        worker = RowWorker(str(entry.folder), policy, DEFAULT_EFFORT, together=1)  # its seconds are an answer's own
        wanted = asking.wanted(found, seeds=range(samples), lengths=by)
        written = asking.samples(ThisProcess(), worker, wanted, answer=DEFAULT_ANSWER_TOKENS)
        return list(watch(judged(written, judge=judging), len(wanted)))

    fewer = min(limit or LENGTHS_LIMIT, LENGTHS_LIMIT)
    sampled = f"Ten answers to a request at temperature {TEMPERATURE:g}, at most {few} requests a group"
    greedy, doubts = calibrated(measured(problems(Suite.mini, limit=limit)), entry.folder)
    requests = [each for each in problems(Suite.mini, limit=few) if isinstance(each, CodeProblem)]
    varied = measured(requests, samples=SAMPLES, temperature=TEMPERATURE)
    holes = measured(lengths.holes_of(problems(Suite.mini, limit=fewer)), by=lengths.LENGTHS)
    most = f", at most {limit} problems a group" if limit else ""
    tables = {
        f"One greedy answer a problem{most} (the code was {DESCRIPTIONS[confinement]})": table(group_reports(greedy)),
        "How many texts are in doubt, by kind of text, for three thresholds": doubts,
        sampled: table(group_reports(varied)),
        f"pass@1 by the length that a hole gets, at most {fewer} problems a group": lengths.table(
            lengths.length_reports(holes)
        ),
    }
    write_card(card, log=log, facts=registry.facts(entry), tables=tables, picture=picture)


def calibrated(samples: list[JudgedSample], folder: Path) -> tuple[list[JudgedSample], str]:
    """Calibrates the doubt of the checkpoint in `folder` on its samples, and writes that there.

    Returns the samples with the doubt that follows, and the table of the calibration.
    """
    found: dict[Kind, tuple[Calibration, list[Case], list[Case]]] = {}
    for kind in KINDS:
        known = cases(samples, kind)
        if (made := calibrate(known)) is not None:
            found[kind] = (made[0], known[::2], made[1])
    if found:
        doubt.write(folder, {kind: calibration for kind, (calibration, _, _) in found.items()})
    judged = [replace(each, sample=_in_doubt(each, found)) for each in samples]
    return judged, curve([(kind, *parts) for kind, parts in found.items()])


def _in_doubt(judged: JudgedSample, found: Mapping[Kind, tuple[Calibration, list[Case], list[Case]]]) -> Sample:
    """The sample with the doubt that its kind's calibration gives."""
    calibration = found.get(kind_of(judged.problem))
    evidence = judged.sample.evidence
    return replace(judged.sample, doubtful=doubt.judge(evidence, calibration[0] if calibration else None).doubtful)
