"""Evaluates a trained checkpoint and writes its model card."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.eval import lengths
from diffucli.eval.calibrate import KINDS, calibrate, cases, curve, kind_of
from diffucli.eval.evaluate import Writer, evaluate, solver
from diffucli.eval.problems import CodeProblem, judge
from diffucli.eval.report import group_reports, table
from diffucli.eval.suites import Suite, problems
from diffucli.lab.chart import require_matplotlib
from diffucli.mini import training_log
from diffucli.mini.card import write_card
from diffucli.model import load as loading
from diffucli.model import registry
from diffucli.sandbox import DESCRIPTIONS
from diffucli.tasks import doubt
from diffucli.tasks.options import DecodingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from diffucli.eval.calibrate import Case
    from diffucli.eval.evaluate import JudgedSample
    from diffucli.eval.problems import Sample
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
    checkpoint = loading.load(entry.folder, device="auto", quant="auto")
    few = min(limit or SAMPLED_LIMIT, SAMPLED_LIMIT)

    def measured(options: DecodingOptions, limit: int | None, *, samples: int) -> list[JudgedSample]:
        found = problems(Suite.mini, limit=limit)
        chosen = found if samples == 1 else [each for each in found if isinstance(each, CodeProblem)]
        results = evaluate(chosen, solver(Writer(checkpoint, options.policy())), seeds=range(samples), judge=judging)
        return list(watch(results, len(chosen) * samples))

    def by_lengths(most: int) -> str:
        writer = Writer(checkpoint, DecodingOptions(seed=0).policy())
        holes = lengths.holes_of(problems(Suite.mini, limit=most))
        results = lengths.by_lengths(holes, writer, seeds=[0], judge=judging)
        return lengths.table(lengths.length_reports(watch(results, len(holes) * len(lengths.LENGTHS))))

    fewer = min(limit or LENGTHS_LIMIT, LENGTHS_LIMIT)
    sampled = f"Ten answers to a request at temperature {TEMPERATURE:g}, at most {few} requests a group"
    greedy, doubts = calibrated(measured(DecodingOptions(seed=0), limit, samples=1), entry.folder)
    varied = measured(DecodingOptions(seed=0, temperature=TEMPERATURE), few, samples=SAMPLES)
    most = f", at most {limit} problems a group" if limit else ""
    tables = {
        f"One greedy answer a problem{most} (the code was {DESCRIPTIONS[confinement]})": table(group_reports(greedy)),
        "How many texts are in doubt, by kind of text, for three thresholds": doubts,
        sampled: table(group_reports(varied)),
        f"pass@1 by the length that a hole gets, at most {fewer} problems a group": by_lengths(fewer),
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
