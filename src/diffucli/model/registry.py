"""Names of checkpoints: the embedded one, and any folder in the published layout.

Imports no torch, so that listing is quick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli.errors import ModelError
from diffucli.model.files import read_object
from diffucli.model.shards import read_header, shards

if TYPE_CHECKING:
    from collections.abc import Mapping

MINI = "mini"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint by its name. embedded: it is part of the package, a demonstration model."""

    name: str
    folder: Path
    embedded: bool


def entries() -> tuple[Entry, ...]:
    """Every checkpoint that has a name here."""
    return (Entry(MINI, Path(str(resources.files("diffucli") / "models" / MINI)), embedded=True),)


def find(name: str | None) -> Entry:
    """The checkpoint called `name`, or in the folder `name`; the embedded one for None. Raises ModelError."""
    known = {entry.name: entry for entry in entries()}
    if name is None or name in known:
        return known[name or MINI]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Entry(name, folder, embedded=False)
    raise ModelError(
        f"there is no model {name!r} and no folder of that name",
        hint=f"known here: {', '.join(known)}; or name a folder that holds a checkpoint",
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What the files of a checkpoint say. parameters: their number; size: bytes on disk of all its files."""

    entry: Entry
    settings: Mapping[str, Any]
    parameters: int
    size: int


def facts(entry: Entry) -> Facts:
    """The facts of a checkpoint, read from its headers alone. Raises BadCheckpoint."""
    settings = read_object(entry.folder / "config.json")
    shapes = [shape for shard in shards(entry.folder) for shape in read_header(shard).values()]
    size = sum(path.stat().st_size for path in entry.folder.iterdir() if path.is_file())
    return Facts(entry, settings, sum(math.prod(shape) for shape in shapes), size)
