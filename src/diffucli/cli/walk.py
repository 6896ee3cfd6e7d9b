"""The files that a command is to read where folders are named: source files that are not ignored."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.cli.streams import STDIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SKIPPED = frozenset({"node_modules", "__pycache__"})  # besides hidden folders and virtual environments


def expanded(paths: Iterable[Path]) -> list[Path]:
    """`paths` with every folder replaced by the source files in it; of several names of a file the first."""
    found: dict[Path, Path] = {}
    for path in paths:
        for each in sources(path) if path != STDIN and files.is_folder(path) else (path,):
            found.setdefault(files.real(each), each)
    return list(found.values())


def sources(folder: Path) -> list[Path]:
    """The source files in `folder` and below, sorted: in a work tree of git those that it does not ignore."""
    from diffucli.syntax import languages

    listed = _listed_by_git(folder)
    names = _walked(folder) if listed is None else listed
    return sorted(path for path in names if languages.of_path(path) and path.is_file())


def _listed_by_git(folder: Path) -> list[Path] | None:
    """What git knows or would add; None outside of a work tree, or without git."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return [folder / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _walked(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in SKIPPED and name[0] != "." and not Path(here, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(here, name) for name in names)
