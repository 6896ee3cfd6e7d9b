"""Measures the sections of docs/benchmarks.md and writes them there: python docs/scripts/benchmarks.py [SECTION ...].

A section is between <!-- measured: NAME --> and <!-- end -->. The rest of the page is written by hand.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.lab.markdown import with_section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/benchmarks.md")
CHART = "docs/benchmarks.svg"
MAIN_PRESETS = ("--preset", "exact", "--preset", "balanced", "--preset", "fast")
OTHER_RULES = ("--preset", "balanced", "--preset", "factor", "--preset", "entropy-bound")
BOTH = ("--against", "reference", "--against", "dual-cache")
SECTIONS: dict[str, tuple[str, ...]] = {
    "short": ("speed", *BOTH),
    "quality": ("quality", *MAIN_PRESETS, "--problems", "300", "--length", "96", "--plot", CHART),
    "rules": ("quality", *OTHER_RULES, "--problems", "300", "--length", "96"),
    "long": ("speed", *BOTH, "--long"),
    "full": ("speed", *BOTH, "--full"),
    "profile": ("speed", "--profile", "--preset", "balanced", "--preset", "fast", "--rounds", "3"),
    "fill": ("fill", "--rounds", "5"),
    "start": ("start", "--rounds", "5"),
}


def measured(argv: Sequence[str]) -> str:
    """The output of `diffu bench argv…`; its progress goes to the terminal."""
    command = [sys.executable, "-P", "-m", "diffucli", "bench", *argv]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()


def section(argv: Sequence[str], output: str) -> str:
    """The text of a section: the command, its output, and its chart if it draws one."""
    chart = f"\n\n![Tokens per second over pass@1]({Path(CHART).name})" if CHART in argv else ""
    command = shlex.join(["diffu", "bench", *argv])
    return f"`{command}`\n\n{output.strip()}{chart}"


def main(argv: Sequence[str], *, root: Path = ROOT, bench: Callable[[Sequence[str]], str] = measured) -> None:
    """Measures the sections in turn and writes each as soon as it is measured."""
    parser = argparse.ArgumentParser(description="Measure sections of docs/benchmarks.md and write them there.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all by default")
    parser.add_argument("--model", help="name of a model; the default model by default")
    flags = parser.parse_args(argv)
    if unknown := set(flags.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    page = root / PAGE
    for name in flags.sections or SECTIONS:
        command = (*SECTIONS[name], *(("--model", flags.model) if flags.model else ()))
        text = section(command, bench(command))
        page.write_text(with_section(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        print(f"{name}: measured")


if __name__ == "__main__":
    main(sys.argv[1:])
