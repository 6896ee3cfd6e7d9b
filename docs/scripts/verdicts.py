"""How often a verdict is wrong: valid texts that are refused, and invalid ones that are accepted.

    python docs/scripts/verdicts.py CASES            # CASES/valid/LANGUAGE/* and CASES/invalid/LANGUAGE/*
    python docs/scripts/verdicts.py CASES --files    # and of each language up to 250 files of the system

Prints one Markdown row a language, with milliseconds a verdict, and the wrong verdicts with -v. --no-tools asks no
program of the system.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

from diffucli.syntax import languages
from diffucli.syntax.check import CheckResult, check

SYSTEM = {
    "c": ("/usr/include/**/*.h",),
    "cpp": ("/usr/include/c++/**/*.h", "/usr/include/c++/**/*.hpp", "/usr/include/c++/**/*.tcc"),
    "bash": ("/usr/bin/*", "/usr/sbin/*", "/etc/**/*.sh", "/usr/share/**/*.sh", "/usr/lib/**/*.sh"),
    "css": ("/usr/**/*.css",),
    "javascript": ("/usr/**/*.js", "/usr/**/*.mjs"),
    "typescript": ("/usr/**/*.ts",),
    "json": ("/usr/**/*.json",),
    "html": ("/usr/**/*.html",),
    "python": ("/usr/lib/python3/**/*.py", "/usr/lib/python3*/**/*.py"),
}
MOST, LARGEST = 250, 200_000


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=Path)
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--no-tools", action="store_true")
    parser.add_argument("-l", "--language", action="append")
    parser.add_argument("-v", "--verbose", action="store_true")
    given = parser.parse_args()
    print(
        "| language | valid refused | invalid accepted | system files refused | ms a verdict |\n|---|---|---|---|---|"
    )
    for language in languages.LANGUAGES:
        if given.language and language.name not in given.language:
            continue
        began, count = time.perf_counter(), 0
        cells = []
        sets = [(given.cases / kind / language.name).glob("*") for kind in ("valid", "invalid")]
        wrong_lines = []
        for paths, wanted in zip(sets, (True, False), strict=True):
            wrong, total = 0, 0
            for path in sorted(paths):
                total += 1
                if (said := verdict(path, language, tools=not given.no_tools)).ok != wanted:
                    wrong += 1
                    wrong_lines.append(f"  {path}: {said.diagnostics[:1] or said.note or 'accepted'}")
            count += total
            cells.append(f"{wrong}/{total}")
        took = 1000 * (time.perf_counter() - began) / max(count, 1)
        if given.files:
            wrong, found = 0, system_files(language)
            for path in found:
                if not (said := verdict(path, language, tools=not given.no_tools)).ok:
                    wrong += 1
                    wrong_lines.append(f"  {path}: {said.diagnostics[:1] or said.note}")
            cells.append(f"{wrong}/{len(found)}")
        else:
            cells.append("")
        print("|", language.name, "|", " | ".join(cells), "|", f"{took:.1f} |", flush=True)
        if given.verbose:
            print("\n".join(wrong_lines), flush=True)


def verdict(path: Path, language: languages.Language, *, tools: bool) -> CheckResult:
    """What `check` says of a file, in the dialect that its name and first line say."""
    text = path.read_text(encoding="utf-8")
    named = languages.of_path(path, text.partition("\n")[0])
    return check(text, replace(language, dialect=named.dialect if named else "", tools=tools), name=path.name)


def system_files(language: languages.Language) -> list[Path]:
    """Up to 250 files of a language, drawn at random with a fixed seed."""
    found = set()
    for pattern in SYSTEM.get(language.name, ()):
        for path in Path("/").glob(pattern.lstrip("/")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < LARGEST and _is(path, language):
                found.add(path)
    chosen = sorted(found)
    random.Random(1).shuffle(chosen)
    return chosen[:MOST]


def _is(path: Path, language: languages.Language) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if language.name == "cpp":
        return True
    found = languages.of_path(path, text.partition("\n")[0])
    return bool(text.strip()) and found is not None and found.name == language.name and "/c++/" not in str(path)


if __name__ == "__main__":
    main()
