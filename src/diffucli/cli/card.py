"""The evaluation that a model card reports, and the card."""

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

SAMPLES, TEMPERATURE, SAMPLED = 10, 0.7, 20  # of the second table: samples, their temperature, problems a group


def make(folder: Path, card: Path, report: Report, *, limit: int | None = None, picture: bool = True) -> None:
    """Evaluates the checkpoint in `folder` and writes its card. limit: problems of each group at most.

    Raises UsageError where `folder` holds no journal of a training, or a picture is wanted without matplotlib.
    """
    from diffucli.chart import require_matplotlib
    from diffucli.mini import journal
    from diffucli.mini.card import write_card
    from diffucli.model import registry

    if picture:
        require_matplotlib("leave it out with --no-picture")
    log, place = journal.read(folder), str(folder.resolve())
    greedy, few = Choice(model=place, seed=0), min(limit or SAMPLED, SAMPLED)
    warm = f"Ten answers a problem at temperature {TEMPERATURE:g}, at most {few} problems a group"
    tables = {
        "One greedy answer a problem": _table(greedy, report, limit, samples=1),
        warm: _table(replace(greedy, temperature=TEMPERATURE), report, few, samples=SAMPLES),
    }
    write_card(card, log=log, facts=registry.facts(registry.find(place)), tables=tables, picture=picture)


def _table(choice: Choice, report: Report, limit: int | None, *, samples: int) -> str:
    from diffucli.eval.report import table

    at_work = session.begin(choice, report, live=Live.never, fps=1)
    return f"{table(measure(at_work, problems(Suite.mini, limit=limit), samples=samples))}\n"
