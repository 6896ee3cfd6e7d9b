"""How often a verdict is wrong: valid texts that are refused, and invalid ones that are accepted.

    python docs/scripts/verdicts.py CASES            # CASES/valid/LANGUAGE/* and CASES/invalid/LANGUAGE/*
    python docs/scripts/verdicts.py CASES --files    # and of each language up to 250 files of the system
    python docs/scripts/verdicts.py CASES --renames  # a name in one line of each of 100 system headers is changed

Prints one Markdown row a language, with milliseconds a verdict, and the wrong verdicts with -v. --no-tools asks no
program of the system.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from dataclasses import replace
from pathlib import Path

from diffucli.syntax import languages
from diffucli.syntax.check import CheckResult, check
from diffucli.syntax.compare import new_diagnostics

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
    parser.add_argument("--renames", action="store_true")
    parser.add_argument("--no-tools", action="store_true")
    parser.add_argument("-l", "--language", action="append")
    parser.add_argument("-v", "--verbose", action="store_true")
    given = parser.parse_args()
    if given.renames:
        for name in ("c", "cpp"):
            renames(languages.by_name(name), tools=not given.no_tools)
        return
    print(HEAD)
    for language in languages.LANGUAGES:
        if not given.language or language.name in given.language:
            row(language, given)


HEAD = "| language | valid refused | invalid accepted | system files refused | ms a verdict |\n|---|---|---|---|---|"


def row(language: languages.Language, given: argparse.Namespace) -> None:
    """Print what is wrong of a language."""
    cells, lines, took, count = [], [], 0.0, 0
    kinds = {kind: sorted((given.cases / kind / language.name).glob("*")) for kind in ("valid", "invalid")}
    if given.files:
        kinds["files"] = system_files(language)
    for kind, paths in kinds.items():
        began = time.perf_counter()
        said = {path: verdict(path, language, tools=not given.no_tools) for path in paths}
        if kind != "files":
            took, count = took + time.perf_counter() - began, count + len(paths)
        wrong = {path: one for path, one in said.items() if one.ok is (kind == "invalid")}
        cells.append(f"{len(wrong)}/{len(paths)}")
        lines += [f"  {path}: {one.diagnostics[:1] or one.note or 'accepted'}" for path, one in wrong.items()]
    cells += [""] * (3 - len(cells))
    print("|", language.name, "|", " | ".join(cells), "|", f"{1000 * took / max(count, 1):.1f} |", flush=True)
    if given.verbose and lines:
        print("\n".join(lines), flush=True)


def verdict(path: Path, language: languages.Language, *, tools: bool) -> CheckResult:
    """What `check` says of a file, in the dialect that its name and first line say."""
    text = path.read_text(encoding="utf-8")
    named = languages.of_path(path, text.partition("\n")[0])
    return check(text, replace(language, dialect=named.dialect if named else "", tools=tools), name=path.name)


def renames(language: languages.Language, *, tools: bool) -> None:
    """Change one name in a declaration of each of 100 headers, and print how many of these edits are refused."""
    draw, refused, took = random.Random(2), [], 0.0
    headers = [path for path in system_files(language) if path.suffix in {".h", ".hpp"}][:100]
    for path in headers:
        before = path.read_text(encoding="utf-8")
        spots = [match for match in _DECLARED.finditer(before) if match[1] not in _WORDS]
        if not spots:
            continue
        spot = draw.choice(spots)
        after = f"{before[: spot.start(1)]}renamed{before[spot.end(1) :]}"
        began = time.perf_counter()
        judge = replace(languages.detect(before, path), tools=tools)
        said = new_diagnostics(before, after, judge)
        took += time.perf_counter() - began
        if not said.ok:
            refused.append(f"  {path}: {spot[0].strip()}: {said.diagnostics[:1]}")
    print(f"{language.name}: {len(refused)} of {len(headers)} refused, {1000 * took / len(headers):.0f} ms an edit")
    print("\n".join(refused), flush=True)


# A name before the end of a declaration, or before its parameters; not in a comment or directive.
_DECLARED = re.compile(
    r"^[ \t]*(?!\*|//|#|/\*)[\w:<>*& \t]*[\w>*&][ \t*&]+(\w{3,})[ \t]*(?:;|\([^()\n]*\))", re.MULTILINE
)
_WORDS = frozenset(
    ("return", "sizeof", "const", "void", "int", "char", "defined", "operator", "while", "for", "switch")
)


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
