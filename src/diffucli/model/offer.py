"""What can be pulled: which files of a repository or a folder make a checkpoint, or an adapter for one.

Fetches no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from diffucli.errors import BadCheckpoint, UsageError
from diffucli.files import MAX_JSON_BYTES
from diffucli.model import download, families, store
from diffucli.model.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NAME_AN_ADAPTER, PICKLE
from diffucli.model.checkpoint import CONFIG, INDEX, SINGLE, OtherFormat, is_low_float, shards
from diffucli.model.config import PULL_ORIGINAL
from diffucli.model.families import PULL_ANOTHER
from diffucli.model.hub import Listing, Remote, Unreachable, look
from diffucli.model.names import PULL, is_same, origin, short_name
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from diffucli.model.names import Origin
    from diffucli.model.store import Record

    Choose = Callable[[Listing], tuple[Remote, ...]]

SHARD = re.compile(r"(?!consolidated)[\w.-]*\d+-of-\d+\.safetensors", re.ASCII)  # "consolidated" are in another layout
TEXTS = (".json", ".jinja")
MERGES = "merges.txt"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
OTHER_FORMATS = {  # end of a name → what it holds
    ".gguf": "GGUF files",
    ".onnx": "ONNX files",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be pulled. listing: the files to be fetched from the hub, or to be copied from the folder of `origin`.

    present: bytes of the files that were fetched already. unasked: why the hub was not asked whether there is a newer
    commit than the installed one, which is offered then; "" if it was, or need not be.
    """

    origin: Origin
    listing: Listing
    present: int = 0
    unasked: str = ""

    @property
    def files(self) -> tuple[Remote, ...]:
        """The files of the checkpoint, the weights last."""
        return self.listing.files

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def offer(name: str, *, revision: str | None = None) -> Offer:
    """What `name` means and, for a repository, what the hub has of it; fetches no file. Raises UsageError, ModelError.

    The hub is not asked for a commit that is installed. Where it cannot be asked for the newest, what is installed is
    offered. So both work offline.
    """
    found = origin(name)
    store.recover(found.name)
    if found.folder is not None:
        store.require_outside(found.folder)
        if revision is not None:
            raise UsageError("--revision is for repositories on the hub", hint="leave it out for a folder")
        return Offer(found, Listing("", "", "", "", _files_in(found.folder)))
    if None not in {revision, found.revision} and revision != found.revision:
        raise UsageError(f"{name} is at {found.revision}, --revision is {revision}", hint="leave one of them out")
    return _offer_of_hub(found, revision or found.revision, files_of)


def offer_adapter(name: str) -> Offer:
    """What the hub has of the adapter `name`, as `offer`. Raises UsageError, ModelError."""
    found = origin(name)
    if found.folder is not None:
        hint = f"leave it out, and add --adapter {name} to gen and fill"
        raise UsageError(f"{name} is a folder, and an adapter in a folder is used as it is", hint=hint)
    store.recover(found.name)
    return _offer_of_hub(found, found.revision, adapter_files)


def _offer_of_hub(found: Origin, revision: str | None, choose: Choose) -> Offer:
    """What the hub has of a repository at `revision` (None: the newest), or what is installed of it.

    choose: those files of the repository that are pulled.
    """
    record, unasked = store.read_record(store.model_dir(found.name)), ""
    installed = _installed(record) if record and is_same(record.source, found.where) else None
    if installed and installed.commit == revision:
        listing = installed
    else:
        try:
            listing = download.patiently(lambda: look(found.repository, revision))
        except Unreachable as exc:
            if installed is None or revision is not None:
                raise
            listing, unasked = installed, exc.message
        else:
            listing = replace(listing, files=choose(listing))
            if is_same(listing.repository, found.repository):  # as the hub spells it
                found = replace(found, name=short_name(listing.repository), repository=listing.repository)
    folder = store.download_dir(found.name)
    return Offer(found, listing, sum(download.present(file, folder) for file in listing.files), unasked)


def _installed(record: Record) -> Listing:
    """The listing that a model was pulled by."""
    kept = tuple(Remote(file, size, digest) for file, (size, digest) in record.files.items())
    return Listing(record.source, record.revision, record.licence, record.licence_link, kept)


def files_of(listing: Listing) -> tuple[Remote, ...]:
    """The files of a repository that make a checkpoint, without code and pickles. Raises BadCheckpoint if it has none.

    Only files at the top of the repository count.
    """
    top, where = _top(listing), listing.repository
    if CONFIG not in top:
        raise _not_read(listing, top) or BadCheckpoint(
            f"{where} is no checkpoint: it lacks {CONFIG}", hint=PULL_ANOTHER
        )
    names = [SINGLE] if SINGLE in top else sorted(filter(SHARD.fullmatch, top)) if INDEX in top else []
    if not names:
        pickles = sorted(name for name in top if name.endswith(PICKLES))
        holds = f"only {pickles[0]}, a pickle, which can run code" if pickles else "no weights"
        raise _not_read(listing, top) or BadCheckpoint(f"{where} has no safetensors but {holds}", hint=PULL_ANOTHER)
    if low := next(filter(is_low_float, listing.dtypes), ""):
        raise OtherFormat(f"{where} holds weights in {low}, which diffu does not read", hint=original(listing))
    texts = [top[name] for name in sorted(top) if _is_text(name) and (name != INDEX or SINGLE not in top)]
    return (*_small(texts), *(top[name] for name in names))


def adapter_files(listing: Listing) -> tuple[Remote, ...]:
    """The two files of a repository that make an adapter. Raises BadCheckpoint if it has none."""
    top, where = _top(listing), listing.repository
    if ADAPTER_CONFIG not in top:
        raise BadCheckpoint(f"{where} is no adapter: it lacks {ADAPTER_CONFIG}", hint=NAME_AN_ADAPTER)
    if ADAPTER_WEIGHTS not in top:
        holds = f"only {PICKLE}, a pickle, which can run code" if PICKLE in top else "no weights"
        raise BadCheckpoint(f"{where} has no {ADAPTER_WEIGHTS} but {holds}", hint=NAME_AN_ADAPTER)
    return (*_small([top[ADAPTER_CONFIG]]), top[ADAPTER_WEIGHTS])


def _top(listing: Listing) -> dict[str, Remote]:
    """The files at the top of a repository by name, without hidden ones."""
    return {file.name: file for file in listing.files if not {"/", "\\"} & {*file.name} and file.name[:1] != "."}


def _files_in(folder: Path) -> tuple[Remote, ...]:
    """The files of a folder that make a checkpoint. Raises BadCheckpoint if it is none."""
    families.read(folder)
    weights = shards(folder)
    single = weights[0].name == SINGLE
    texts = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_text(path.name)]
    copied = [path for path in texts if not (single and path.name == INDEX)]
    found = [Remote(path.name, path.stat().st_size, "") for path in (*copied, *weights)]
    return (*_small(found[: len(copied)]), *found[len(copied) :])


def _small(texts: list[Remote]) -> list[Remote]:
    """`texts` as they are. Raises BadCheckpoint if one of these files is larger than any that is read."""
    for file in texts:
        if file.size > MAX_JSON_BYTES:
            size, most = format_bytes(file.size), format_bytes(MAX_JSON_BYTES)
            raise BadCheckpoint(f"{file.name} has {size}; such a file has at most {most}", hint=PULL_ANOTHER)
    return texts


def _is_text(name: str) -> bool:
    return (name == MERGES or PurePath(name).suffix in TEXTS) and name != store.RECORD


def _not_read(listing: Listing, names: Iterable[str]) -> OtherFormat | None:
    """The error for a repository that holds an adapter, or another program's format; None if it holds neither."""
    if ADAPTER_CONFIG in names:
        hint = PULL.format(f"{listing.base or 'MODEL'} --adapter {listing.repository}")
        return OtherFormat(f"{listing.repository} holds an adapter for a model, and no checkpoint", hint=hint)
    for end, form in OTHER_FORMATS.items():
        if any(name.lower().endswith(end) for name in names):
            return OtherFormat(f"{listing.repository} holds {form}, which diffu does not read", hint=original(listing))
    return None


def original(listing: Listing) -> str:
    """What to pull in place of a checkpoint in another form."""
    return f"pull the original: {PULL.format(listing.base)}" if listing.base else PULL_ORIGINAL
