"""Evaluates a trained checkpoint and writes its model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.eval import lengths
from diffucli.eval.evaluate import Writer, evaluate, solver
from diffucli.eval.report import group_reports, table
from diffucli.eval.suites import Suite, problems
from diffucli.lab.chart import require_matplotlib
from diffucli.mini import training_log
from diffucli.mini.card import write_card
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.options import DecodingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from diffucli.eval.evaluate import JudgedSample

    Watch = Callable[[Iterable[JudgedSample], int], Iterable[JudgedSample]]

SAMPLES, TEMPERATURE = 10, 0.7  # of the second table
SAMPLED_LIMIT = 20  # problems of each group in the second table
LENGTHS_LIMIT = 50  # problems of each group in the third table, which has seven answers to each


def make(folder: Path, card: Path, *, watch: Watch, limit: int | None = None, picture: bool = True) -> None:
    """Evaluates the checkpoint in `folder` and writes its card.

    watch: gets the samples as they are judged, and their number; it returns them, and may show progress meanwhile.
    limit: problems of each group at most. Raises UsageError if `folder` has no training log, or if a picture is wanted
    without matplotlib.
    """
    if picture:
        require_matplotlib("leave it out with --no-picture")
    log, entry = training_log.read(folder), registry.find(str(folder.resolve()))
    checkpoint, few = load(entry.folder, device="auto", quant="auto"), min(limit or SAMPLED_LIMIT, SAMPLED_LIMIT)

    def measured(options: DecodingOptions, limit: int | None, *, samples: int) -> str:
        chosen = problems(Suite.mini, limit=limit)
        results = evaluate(chosen, solver(Writer(checkpoint, options.policy())), seeds=range(samples))
        return table(group_reports(watch(results, len(chosen) * samples)))

    def by_lengths(most: int) -> str:
        writer = Writer(checkpoint, DecodingOptions(seed=0).policy())
        holes = lengths.holes_of(problems(Suite.mini, limit=most))
        results = lengths.by_lengths(holes, writer, seeds=[0])
        return lengths.table(lengths.length_reports(watch(results, len(holes) * len(lengths.LENGTHS))))

    fewer = min(limit or LENGTHS_LIMIT, LENGTHS_LIMIT)
    sampled = f"Ten answers a problem at temperature {TEMPERATURE:g}, at most {few} problems a group"
    tables = {
        "One greedy answer a problem": measured(DecodingOptions(seed=0), limit, samples=1),
        sampled: measured(DecodingOptions(seed=0, temperature=TEMPERATURE), few, samples=SAMPLES),
        f"pass@1 by the length that a hole gets, at most {fewer} problems a group": by_lengths(fewer),
    }
    write_card(card, log=log, facts=registry.facts(entry), tables=tables, picture=picture)
