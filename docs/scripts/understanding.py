"""Measures what temperature does to mini, and writes figures and charts of docs/understanding.md.

python docs/scripts/understanding.py [--records FILE] [--requests N] [--quick]

With --records, a measurement that was broken off goes on where it was. 20 requests and their 60 holes took 12 minutes
of one thread.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from diffucli.bench.orders import MOST, load_records, measured, plan_of, to_line
from diffucli.bench.report import facts
from diffucli.bench.understanding import SECTIONS, Understanding, draw
from diffucli.lab import markdown
from diffucli.model import registry
from diffucli.model.load import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.bench.orders import OrderPlan

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/understanding.md")


def main(argv: Sequence[str], *, root: Path = ROOT) -> None:
    """Measures what is not in the records yet, and writes the page."""
    parser = argparse.ArgumentParser(description="Measure what temperature does to mini, for docs/understanding.md.")
    parser.add_argument("--records", type=Path, metavar="FILE", help="keep each sample in this file, and go on from it")
    parser.add_argument("--requests", type=int, default=MOST, metavar="N", help=f"problems; {MOST} by default")
    parser.add_argument("--quick", action="store_true", help="two problems, which say nothing: whether it runs at all")
    flags = parser.parse_args(argv)
    plan = plan_of(flags.requests)
    if flags.quick:
        plan = replace(plan, problems=plan.problems[:2], temperatures=(0.0, 0.2, 1.2), samples=2, length=12)
    with TemporaryDirectory() as folder:
        write(plan, flags.records or Path(folder) / "records", root)


def write(plan: OrderPlan, records: Path, root: Path) -> None:
    """Measures what is not in `records` yet, and writes the page and its charts."""
    checkpoint = load(registry.find("mini").folder)
    known = load_records(records)
    with records.open("ab") as file:
        for record in measured(checkpoint, plan, known):
            known.append(record)
            file.write(to_line(record))
            file.flush()
            print(f"problem {record.problem + 1} of {len(plan.problems)}", end="\r", file=sys.stderr)
    found = Understanding.of(known)
    page = (root / PAGE).read_text(encoding="utf-8")
    page = markdown.with_section(
        page, "facts", markdown.bullets(facts("mini", checkpoint.network.device) | found.facts())
    )
    for name, section in SECTIONS.items():
        page = markdown.with_section(page, name, section(found))
    (root / PAGE).write_text(page, encoding="utf-8")
    draw(found, (root / PAGE).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
