"""What can be pulled under a name: its files and their bytes, its licence, and how much of it is here already.

Fetches no file; that is `pull`'s, so that the licence can be shown in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from diffucli.errors import BadCheckpoint, UsageError
from diffucli.model import download, store, support
from diffucli.model.aliases import Origin, origin
from diffucli.model.hub import Listing, Remote, look
from diffucli.model.shards import INDEX, SINGLE, shards

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "config.json"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
WEIGHTS = ".safetensors"
TEXTS = (".json", ".jinja")
MERGES = "merges.txt"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be pulled. files: what will be fetched, or copied from the folder `origin`. present: bytes already here.

    listing: None where the hub was not asked. here: the model is on the shelf at this very revision.
    """

    origin: Origin
    listing: Listing | None
    files: tuple[Remote, ...]
    present: int
    here: bool

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def offer(name: str, *, revision: str | None = None) -> Offer:
    """What `name` means and, for a repository, what the hub has of it. UsageError, ModelError.

    A commit that is on the shelf already is not asked for, so this works offline.
    """
    found = origin(name)
    if found.folder is not None:
        if revision is not None:
            raise UsageError("--revision is for repositories on the hub", hint="leave it out for a folder")
        return Offer(found, None, _in_folder(found.folder), 0, here=False)
    known = store.read_record(store.place(found.name))
    if known and revision and known.revision == revision:
        return Offer(found, None, (), 0, here=True)
    listing = download.patiently(lambda: look(found.repository, revision))
    files, folder = wanted(listing), store.originals(found.name)
    present = sum(download.present(file, folder) for file in files)
    return Offer(found, listing, files, present, here=known is not None and known.revision == listing.commit)


def wanted(listing: Listing) -> tuple[Remote, ...]:
    """The files of a repository that make a checkpoint: at its top, no code and no pickle. BadCheckpoint: none."""
    top = {file.name: file for file in listing.files if not {"/", "\\"} & {*file.name} and file.name[:1] != "."}
    where = listing.repository
    if CONFIG not in top:
        raise BadCheckpoint(f"{where} is no checkpoint: it lacks {CONFIG}", hint=_instead(top))
    names = [SINGLE] if SINGLE in top else sorted(filter(SHARD.fullmatch, top)) if INDEX in top else []
    if not names:
        pickles = sorted(name for name in top if name.endswith(PICKLES))
        holds = f"only {pickles[0]}, a pickle, which can run code" if pickles else "no weights"
        raise BadCheckpoint(f"{where} has no safetensors but {holds}", hint=_instead(top))
    texts = [name for name in sorted(top) if _is_text(name) and (name != INDEX or SINGLE not in top)]
    return tuple(top[name] for name in (*texts, *names))


def _in_folder(folder: Path) -> tuple[Remote, ...]:
    """The files of a folder that make a checkpoint. BadCheckpoint: it is none."""
    support.settings_of(folder, name="this checkpoint")
    weights = shards(folder)
    single = weights[0].name == SINGLE
    texts = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_text(path.name)]
    kept = [path for path in texts if not (single and path.name == INDEX)]
    return tuple(Remote(path.name, path.stat().st_size, "") for path in (*kept, *weights))


def _is_text(name: str) -> bool:
    return (name == MERGES or PurePath(name).suffix in TEXTS) and name not in {store.RECORD, download.NOTE}


def _instead(names: dict[str, Remote]) -> str:
    if any(name.lower().endswith(".gguf") for name in names):
        return "GGUF is another program's format: pull the original repository"
    return support.USE
