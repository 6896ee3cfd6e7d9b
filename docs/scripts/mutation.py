"""Changes a sample of the code, one place at a time, and prints what no test noticed: python docs/scripts/mutation.py.

It drives mutmut ([tool.mutmut] in pyproject.toml) in a copy of HEAD, so the working tree is never touched.
docs/mutation.md tells how to read the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("decode", "tasks", "edit", "syntax", "model")
MUTMUT = (sys.executable, "-P", "-c", "from mutmut.__main__ import cli; cli(prog_name='mutmut')")
NOTICED = (1, 3)  # the exit codes of pytest when a test failed, or pytest itself did
TOO_LONG = (24, -24, 36, 152, 255)  # mutmut's and the system's for a test that never ends
NONE = "none"  # the name of no mutant


def mutmut(folder: Path, *args: str) -> str:
    """What a command of mutmut prints; for `run`, nothing: that goes to stderr."""
    shown = sys.stderr if args[0] == "run" else subprocess.PIPE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a process with threads cannot be forked
    done = subprocess.run([*MUTMUT, *args], cwd=folder, stdout=shown, env=environment, text=True, check=False)
    if done.returncode and NONE not in args:
        sys.exit(f"mutmut {args[0]} failed")
    return done.stdout or ""


def exit_codes(folder: Path) -> dict[str, int | None]:
    """The exit code of the tests for each mutant, None for one that has not run."""
    known: dict[str, int | None] = {}
    for path in sorted((folder / "mutants" / "src").rglob("*.meta")):
        known |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return known


def room_of(mutant: str) -> str:
    """The room of `diffucli.decode.loop.x_denoise__mutmut_7`."""
    return mutant.split(".")[1]


def sampled(mutants: list[str], rooms: list[str], each: int, seed: int) -> list[str]:
    """So many mutants of each room, the same for the same code and seed."""
    draw = random.Random(seed)
    return [one for room in rooms for one in draw.sample([name for name in mutants if room_of(name) == room], each)]


def main() -> None:
    """Copies, draws, runs, and prints the table and each change that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", default=ROOMS, metavar="ROOM", help=f"of {', '.join(ROOMS)}; default: all")
    parser.add_argument("--each", type=int, default=60, metavar="N", help="mutants of each room (default: 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the draw (default: 1)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    wanted = parser.parse_args()
    if importlib.util.find_spec("mutmut") is None:
        sys.exit("mutmut is not installed: pip install -e '.[mutation]'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packed = subprocess.check_output([shutil.which("git") or "git", "archive", "HEAD"], cwd=ROOT)
        with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
            tree.extractall(folder, filter="data")
        mutmut(folder, "run", NONE)  # makes all mutants, and records which test calls which function
        chosen = sampled(sorted(exit_codes(folder)), list(wanted.rooms), wanted.each, wanted.seed)
        mutmut(folder, "run", "--max-children", str(wanted.workers), *chosen)
        codes = exit_codes(folder)
        print("| room | sampled | noticed | took too long | not noticed |\n|---|---|---|---|---|")
        for room in wanted.rooms:
            found = [codes[one] for one in chosen if room_of(one) == room]
            noticed, endless = (sum(code in kinds for code in found) for kinds in (NOTICED, TOO_LONG))
            print(f"| {room} | {len(found)} | {noticed} | {endless} | {len(found) - noticed - endless} |")
        for one in chosen:
            if codes[one] not in NOTICED:
                print(f"\n{mutmut(folder, 'show', one).strip()}")


if __name__ == "__main__":
    main()
