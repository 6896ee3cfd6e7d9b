"""The lowest Python that a project runs on, as its pyproject.toml says, and a note on text that needs a higher one.

A note is no error: whoever writes the text may know better. A file that says nothing, or cannot be read, gives none.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.syntax import newer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffucli.syntax.languages import Language

NAME = "pyproject.toml"
MOST_BYTES = 1_000_000
OLDEST, NEWEST = 7, 30  # minor versions that are tried; forms of 3.7 and older are not told apart
_TARGET = re.compile(r"(?:py3|3\.)([0-9]+)")  # as Ruff and Black write it, and as mypy does


@dataclass(frozen=True, slots=True)
class Lowest:
    """The lowest Python of a project. minor: of 3.minor. said_by: the key of pyproject.toml that says so."""

    minor: int
    said_by: str

    def note(self, text: str, before: str = "") -> str:
        """What is to be known of Python that needs a higher version, if `before` does not need it too; else ""."""
        found = newer.need(text, above=self.minor)
        if found is None or newer.need(before, above=found.minor - 1):
            return ""
        needed = f"line {found.line} has {found.what}, which needs Python 3.{found.minor}"
        return f"{needed}; the lowest of this project is 3.{self.minor} ({self.said_by} in {NAME})"


def of(path: Path | None, language: Language) -> Lowest | None:
    """What the nearest pyproject.toml of the project says that the Python file `path` is in.

    None where there is none, or it is silent, and for other languages. Above the git repository, or without one above
    the folder of the file, nothing is looked for.
    """
    if path is None or language.name != "python":
        return None
    folder = files.real(path).parent
    root = files.project_root(folder)
    above = (each for each in (folder, *folder.parents) if each.is_relative_to(root))
    nearest = next((each / NAME for each in above if files.exists(each / NAME)), None)
    with suppress(OSError, ValueError):
        return _read(files.read_bytes(nearest, MOST_BYTES)) if nearest else None
    return None


@lru_cache(maxsize=8)
def _read(content: bytes) -> Lowest | None:
    """What the text of a pyproject.toml says. ValueError: it is none."""
    import tomllib

    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError:
        return None
    return next(_said(table), None)


def _said(table: dict[str, Any]) -> Iterator[Lowest]:
    """The lowest versions that `table` names, the one that counts most first."""
    required = _at(table, "project.requires-python")
    if isinstance(required, str) and (minor := _lowest_of(required)):
        yield Lowest(minor, "requires-python")
    for key in ("tool.ruff.target-version", "tool.black.target-version", "tool.mypy.python_version"):
        named = _at(table, key)
        words = named if isinstance(named, list) else [named]
        minors = [int(found[1]) for word in words if (found := _TARGET.fullmatch(str(word)))]
        if minors:
            yield Lowest(max(min(minors), OLDEST), key)


def _lowest_of(required: str) -> int | None:
    """The lowest minor version of Python 3 of which `required`, such as ">=3.9,<4", allows some release."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(required)
    except InvalidSpecifier:
        return None
    minors = range(OLDEST, NEWEST) if required.strip() else ()
    return next((n for n in minors if any(allowed.contains(f"3.{n}{patch}") for patch in ("", ".99"))), None)


def _at(table: object, key: str) -> object:
    for name in key.split("."):
        table = table.get(name) if isinstance(table, dict) else None
    return table
