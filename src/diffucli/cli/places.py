"""Files with a region behind their name, as compilers and pytest write them: FILE:10, FILE:10-14, FILE::name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.cli import streams
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NUMBERS = r"[0-9]+(?:[-,]\+?[0-9]+|:[0-9]+-[0-9]+:[0-9]+)?"
_PLACED = re.compile(rf"(?P<file>.+?):(?:(?P<lines>{_NUMBERS})|:(?P<symbol>[^:\s].*))")
_POSITION = re.compile(r"(?P<file>.+):(?P<line>[0-9]+):(?P<column>[0-9]+):?")
_REGION = re.compile(rf"{_NUMBERS}|[0-9]+:[0-9]+|:[a-z]+")


def split(files: Sequence[Path] | None) -> dict[Path, tuple[str, ...]]:
    """Each file with the regions behind its name; files named several times are one. A file that exists is itself.

    UsageError: an argument is a region, or ends with a line and a column.
    """
    found: dict[Path, tuple[str, ...]] = {}
    for path in files or ():
        file, regions = _split(path)
        if file in found and not regions and not found[file]:
            raise UsageError(f"{path} is named twice", hint="name each file once")
        found[file] = (*found.get(file, ()), *regions)
    return found


def _split(path: Path) -> tuple[Path, tuple[str, ...]]:
    name, path = str(path), streams.named(path)
    if path == STDIN or files.exists(path):
        return path, ()
    if _REGION.fullmatch(name):
        raise UsageError(f"{name}: no such file; did you mean -r {name}?", hint="regions are named with -r")
    if position := _POSITION.fullmatch(name):
        file, line, column = position.groups()
        hint = f"write {file}:{line} for the line, {file}:{line}-{column} for lines {line} to {column}"
        raise UsageError(f"{name}: is it a column or a line behind line {line}?", hint=hint)
    if placed := _PLACED.fullmatch(name):
        return type(path)(placed["file"]), (placed["lines"] or placed["symbol"],)
    return path, ()
