"""Evaluates a trained checkpoint and writes its model card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from diffucli.cli import session
from diffucli.cli.evaluate import measure
from diffucli.cli.options import Choice, Live
from diffucli.eval.suites import Suite, problems

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.cli.report import Report

SAMPLES, TEMPERATURE = 10, 0.7  # of the second table
SAMPLED_LIMIT = 20  # problems of each group in the second table


def make(folder: Path, card: Path, report: Report, *, limit: int | None = None, picture: bool = True) -> None:
    """Evaluates the checkpoint in `folder` and writes its card. limit: problems of each group at most.

    Raises UsageError if `folder` has no training log, or if a picture is wanted without matplotlib.
    """
    from diffucli.chart import require_matplotlib
    from diffucli.mini import training_log
    from diffucli.mini.card import write_card
    from diffucli.model import registry

    if picture:
        require_matplotlib("leave it out with --no-picture")
    log, model = training_log.read(folder), str(folder.resolve())
    greedy, few = Choice(model=model, seed=0), min(limit or SAMPLED_LIMIT, SAMPLED_LIMIT)
    sampled = f"Ten answers a problem at temperature {TEMPERATURE:g}, at most {few} problems a group"
    tables = {
        "One greedy answer a problem": _table(greedy, report, limit, samples=1),
        sampled: _table(replace(greedy, temperature=TEMPERATURE), report, few, samples=SAMPLES),
    }
    write_card(card, log=log, facts=registry.facts(registry.find(model)), tables=tables, picture=picture)


def _table(choice: Choice, report: Report, limit: int | None, *, samples: int) -> str:
    from diffucli.eval.report import table

    opened = session.begin(choice, report, live=Live.never, fps=1)
    return table(measure(opened, problems(Suite.mini, limit=limit), samples=samples))
