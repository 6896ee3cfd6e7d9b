"""Measures what docs/benchmarks.md says and writes it there: python docs/scripts/benchmarks.py [SECTION ...].

A section stands between <!-- measured: NAME --> and <!-- end -->; the rest of the page is written by hand.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/benchmarks.md")
PICTURE = "docs/benchmarks.svg"
EVERY = ("--preset", "exact", "--preset", "balanced", "--preset", "fast")
BOTH = ("--against", "reference", "--against", "dual-cache")
SECTIONS: dict[str, tuple[str, ...]] = {
    "short": BOTH,
    "quality": (*EVERY, "--quality", "300", "--length", "96", "--plot", PICTURE),
    "long": (*BOTH, "--long"),
    "full": (*BOTH, "--full"),
    "profile": ("--profile", "--preset", "balanced", "--preset", "fast", "--rounds", "3"),
    "fill": ("--fill", "--rounds", "5"),
    "start": ("--start", "--rounds", "5"),
}


def measured(flags: Sequence[str]) -> str:
    """What `diffu bench` with `flags` prints; its progress goes to the terminal."""
    argv = [sys.executable, "-m", "diffucli", "bench", *flags]
    return subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()


def section(name: str, flags: Sequence[str], found: str) -> str:
    """A section of the page: the command, what it found, and its picture."""
    picture = f"![Tokens per second against pass@1]({Path(PICTURE).name})\n\n" if PICTURE in flags else ""
    command = shlex.join(["diffu", "bench", *flags])
    return f"<!-- measured: {name} -->\n\n`{command}`\n\n{found.strip()}\n\n{picture}<!-- end -->"


def rewritten(page: str, name: str, text: str) -> str:
    """`page` with the section `name` replaced by `text`. LookupError: it has none, or several."""
    found = re.findall(rf"<!-- measured: {name} -->.*?<!-- end -->", page, flags=re.DOTALL)
    if len(found) != 1:
        raise LookupError(f"{PAGE} has {len(found)} sections {name}")
    return page.replace(found[0], text)


def main(argv: Sequence[str], *, root: Path = ROOT, bench: Callable[[Sequence[str]], str] = measured) -> None:
    """Measures and rewrites section after section, so that what is done stays done."""
    parser = argparse.ArgumentParser(description="Measure what docs/benchmarks.md says, and write it there.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all if none")
    parser.add_argument("--model", help="a model's name; the default one if none")
    asked = parser.parse_args(argv)
    if unknown := set(asked.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    page = root / PAGE
    for name in asked.sections or SECTIONS:
        flags = (*SECTIONS[name], *(("--model", asked.model) if asked.model else ()))
        text = section(name, flags, bench(flags))
        page.write_text(rewritten(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        print(f"{name}: measured")


if __name__ == "__main__":
    main(sys.argv[1:])
