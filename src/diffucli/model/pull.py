"""What is offered becomes a model on the shelf: fetched, compared with its digests, packed into four bits.

Whatever stops it, the same pull goes on from there, and nothing half done counts as a model.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from diffucli.errors import NoRoom, UsageError
from diffucli.model import download, figures, store, support, tokenizer
from diffucli.model.layers import is_large
from diffucli.model.memory import packed_bytes
from diffucli.model.offer import WEIGHTS
from diffucli.model.packed import is_packed
from diffucli.model.shards import INDEX
from diffucli.model.store import Record
from diffucli.units import JobProgress, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from diffucli.model.hub import Listing, Remote
    from diffucli.model.offer import Offer

Quant = Literal["auto", "nf4", "none"]
BLOCK = 1 << 24  # bytes copied at a time


def pull(offered: Offer, *, quant: Quant = "auto", keep_original: bool = False) -> Iterator[JobProgress]:
    """Makes the model of an offer, yielding how far it is: waiting, fetching, checking, copying, and quantise's stages.

    quant: "auto" packs large checkpoints. keep_original: the files as published stay too.
    Raises UsageError, ModelError (BadCheckpoint, NoRoom), the latter too where the system refuses a write.
    """
    name = offered.origin.name
    if not store.is_free(name):
        yield JobProgress("waiting", 0, 0)
    with store.locked(name, wait=True), store.writing(store.root()):
        if is_done(offered, quant=quant, keep_original=keep_original):
            return
        if offered.listing is None:
            yield from _from_folder(offered, quant)
        else:
            yield from _from_hub(offered, offered.listing, quant=quant, keep_original=keep_original)


def is_done(offered: Offer, *, quant: Quant = "auto", keep_original: bool = False) -> bool:
    """Whether the shelf has the model as it is wanted. UsageError: it has another of that name."""
    name = offered.origin.name
    known = store.read_record(store.place(name))
    if known is None:
        return False
    if known.source != offered.origin.where:
        raise UsageError(f"there is a model {name} from {known.source}", hint=f"diffu model rm {name} makes room")
    same = known.revision == offered.listing.commit if offered.listing else offered.here
    kept = not keep_original or store.originals(name).is_dir()
    return same and kept and quant in {"auto", known.quant}


def _from_hub(offered: Offer, listing: Listing, *, quant: Quant, keep_original: bool) -> Iterator[JobProgress]:
    name, files = offered.origin.name, offered.files
    source, made = store.originals(name), store.workshop(name)
    if download.ready(source, files) and made.exists():
        shutil.rmtree(made)
    for file in files:
        download.adopt(listing, file, source)
    yield from _fetch(listing, files, source, weights=False)
    settings = _examine(source, files)
    packs = _packs(quant, settings)
    if made.exists() and is_packed(support.settings_of(made)) != (packs or is_packed(settings)):
        shutil.rmtree(made)
    if not made.exists():
        left = sum(file.size - download.present(file, source) for file in files)
        check_room(left, packed_bytes(settings, width=2) if packs else offered.total * keep_original)
        yield from _fetch(listing, files, source, weights=True)
        yield from _verify(files, source)
        if packs or keep_original:
            yield from _make(source, made, files, packs=packs)
    target = store.settle(made if made.exists() else source, _record(offered, packs=packs or is_packed(settings)))
    (target / download.NOTE).unlink(missing_ok=True)
    if not keep_original:
        shutil.rmtree(source, ignore_errors=True)


def _from_folder(offered: Offer, quant: Quant) -> Iterator[JobProgress]:
    folder, made = offered.origin.folder, store.workshop(offered.origin.name)
    assert folder is not None
    settings = _examine(folder, offered.files)
    packs = _packs(quant, settings)
    check_room(0, packed_bytes(settings, width=2) if packs else offered.total)
    _check_headers(offered.files, folder)
    shutil.rmtree(made, ignore_errors=True)
    yield from _make(folder, made, offered.files, packs=packs)
    store.settle(made, _record(offered, packs=packs or is_packed(settings)))


def _make(source: Path, made: Path, files: tuple[Remote, ...], *, packs: bool) -> Iterator[JobProgress]:
    """The model in `made` from the files in `source`, which stay."""
    made.parent.mkdir(parents=True, exist_ok=True)
    if packs:
        from diffucli.model.quantize import quantise

        yield from quantise(source, made)
    else:
        yield from _copy(files, source, made)


def _fetch(listing: Listing, files: tuple[Remote, ...], folder: Path, *, weights: bool) -> Iterator[JobProgress]:
    """Fetches the small files, or the weights; `done` counts what is here of all files and never goes back."""
    total, best = sum(file.size for file in files), 0
    for file in files:
        if file.name.endswith(WEIGHTS) is weights:
            rest = sum(download.present(other, folder) for other in files if other is not file)
            for size in download.fetch(listing, file, folder):
                best = max(best, rest + size)
                yield JobProgress("fetching", best, total)


def _verify(files: tuple[Remote, ...], folder: Path) -> Iterator[JobProgress]:
    total, done = sum(file.size for file in files), 0
    for file in files:
        for size in download.verify(file, folder):
            yield JobProgress("checking", done + size, total)
        done += file.size
    _check_headers(files, folder)


def _check_headers(files: tuple[Remote, ...], folder: Path) -> None:
    """BadCheckpoint where a file of weights is no safetensors file, whatever its digest says."""
    for file in files:
        if file.name.endswith(WEIGHTS):
            figures.tensors(folder / file.name)


def _copy(files: tuple[Remote, ...], source: Path, made: Path) -> Iterator[JobProgress]:
    """A copy of `files` in `made`, in one step at its end."""
    aside, total, done = made.with_name(f".{made.name}"), sum(file.size for file in files), 0
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for file in files:
        with (source / file.name).open("rb") as old, (aside / file.name).open("wb") as new:
            while block := old.read(BLOCK):
                new.write(block)
                done += len(block)
                yield JobProgress("copying", done, total)
    aside.rename(made)


def _examine(folder: Path, files: Iterable[Remote]) -> Mapping[str, Any]:
    """The settings of a checkpoint whose small files are in `folder`. BadCheckpoint: it cannot be run here."""
    settings = support.settings_of(folder, name="this checkpoint")
    tokenizer.read(folder)
    if (folder / INDEX).exists():
        support.check_index(folder / INDEX, frozenset(file.name for file in files if file.name.endswith(WEIGHTS)))
    return settings


def _packs(quant: Quant, settings: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is to be packed now. UsageError: it should be and cannot."""
    if is_packed(settings):
        if quant == "none":
            raise UsageError("this checkpoint is in four bits as it is published", hint="leave --quant none out")
        return False
    packs = quant == "nf4" or (quant == "auto" and is_large(settings))
    if packs and find_spec("bitsandbytes") is None:
        raise UsageError("four bits need bitsandbytes, which has no wheel here", hint="add --quant none")
    return packs


def check_room(fetched: int, made: int) -> None:
    """NoRoom unless the disk has room for `fetched` and `made` bytes more."""
    folder = store.root()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if fetched + made > free:
        raise NoRoom(
            f"{format_bytes(fetched + made)} are needed on the disk with {folder} ({format_bytes(fetched)} to fetch, "
            f"{format_bytes(made)} for the model), {format_bytes(free)} are free",
            hint=f"free {format_bytes(fetched + made - free)}, or {store.ELSEWHERE}; "
            "diffu model list shows the models on this disk",
        )


def _record(offered: Offer, *, packs: bool) -> Record:
    listing = offered.listing
    return Record(
        name=offered.origin.name,
        source=offered.origin.where,
        revision=listing.commit if listing else "",
        quant="nf4" if packs else "none",
        licence=listing.licence if listing else "",
        licence_link=listing.licence_link if listing else "",
        pulled=datetime.now(UTC).isoformat(timespec="seconds"),
        files={file.name: (file.size, file.digest) for file in offered.files},
    )
