"""Kills a batch at random and goes on with it, until it is done, and compares it with one that nobody killed.

python docs/scripts/batch_kills.py [--rows 500] [--kills 20] [--workers 2] [--model mini]. Half of the kills (SIGKILL)
are of the process that writes the file, half of one of its workers.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

VERBS = ("count", "sum", "find", "reverse", "sort", "remove", "double", "check", "list", "merge")
THINGS = ("numbers", "words", "lines", "prices", "names", "digits", "vowels", "keys", "values", "items")
POLL = 0.1  # seconds


def rows(count: int) -> list[dict[str, object]]:
    """Requests and holes, all different."""
    made: list[dict[str, object]] = []
    for i in range(count):
        verb, thing = VERBS[i % 10], THINGS[i // 10 % 10]
        if i % 5 == 4:  # noqa: PLR2004 — every fifth is a hole
            made.append({"id": i, "text": f"def {verb}_{thing}_{i}({thing}):\n    return ???4\n"})
        else:
            made.append({"id": i, "prompt": f"{verb} the {thing} of a list {i}", "length": 48})
    return made


def command(tasks: Path, answers: Path, model: str, workers: int) -> list[str]:
    """The command line of a batch."""
    options = ["--seed", "7", "--workers", str(workers), "--repair", "0", "-q"]
    return [sys.executable, "-P", "-m", "diffucli", "batch", str(tasks), "-o", str(answers), "-m", model, *options]


def lines_of(path: Path) -> int:
    """How many whole lines a file has."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_one(driver: psutil.Popen, rng: random.Random) -> str:
    """Kills the driver, or one of its workers; which."""
    workers = [child for child in driver.children() if "spawn_main" in " ".join(child.cmdline())]
    victim = driver if rng.random() < 0.5 or not workers else rng.choice(workers)  # noqa: PLR2004 — half of them
    victim.send_signal(signal.SIGKILL)
    return "driver" if victim is driver else "worker"


def run_with_kills(words: list[str], answers: Path, total: int, kills: int) -> dict[str, int]:
    """Runs a batch to its end however often it is killed; how often that was."""
    rng = random.Random(0)
    at = sorted(rng.sample(range(1, total), kills))
    killed = {"driver": 0, "worker": 0}
    while True:
        driver = psutil.Popen(words)
        while driver.poll() is None:
            if at and lines_of(answers) >= at[0]:
                at.pop(0)
                killed[kill_one(driver, rng)] += 1
                time.sleep(POLL)
            time.sleep(POLL)
        if driver.returncode != -signal.SIGKILL:
            return killed


def main() -> int:
    """Prints the figures; 1 if the two files differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="mini")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tasks, killed, whole = (Path(name) / each for each in ("tasks.jsonl", "killed.jsonl", "whole.jsonl"))
        tasks.write_text("".join(f"{json.dumps(row)}\n" for row in rows(asked.rows)))
        begun = time.monotonic()
        kills = run_with_kills(command(tasks, killed, asked.model, asked.workers), killed, asked.rows, asked.kills)
        between = time.monotonic()
        subprocess.run(command(tasks, whole, asked.model, 1), check=False)
        ended = time.monotonic()
        ours, theirs = (sorted(path.read_text().splitlines()) for path in (killed, whole))
    keys = [json.loads(line)["id"] for line in ours]
    print(f"kills: {kills['driver']} of the writing process, {kills['worker']} of workers")
    print(f"rows: {len(keys)}, different ids: {len(set(keys))}, lines that differ: {len(set(ours) ^ set(theirs))}")
    print(
        f"seconds: {between - begun:.0f} with {asked.workers} workers and kills, {ended - between:.0f} in one process"
    )
    return int(ours != theirs or len(keys) != asked.rows)


if __name__ == "__main__":
    sys.exit(main())
