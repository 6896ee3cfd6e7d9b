"""Pulls models: looks them up, downloads and verifies their files, packs them into four bits, installs them.

A pull that was interrupted continues where it stopped when it is called again.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from diffucli.errors import BadCheckpoint, NoRoom, UsageError
from diffucli.model import adapter, download, families, store, tokenizer
from diffucli.model.checkpoint import CONFIG, INDEX, NF4, SINGLE, OtherFormat, check_index, tensor_sizes
from diffucli.model.config import NO_BITSANDBYTES
from diffucli.model.memory import has_bitsandbytes, packed_bytes
from diffucli.model.names import is_same
from diffucli.model.offer import original
from diffucli.model.store import Record
from diffucli.units import JobProgress, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from diffucli.model.config import Config, Quant
    from diffucli.model.hub import Listing, Remote
    from diffucli.model.offer import Offer

WEIGHTS = ".safetensors"
COPY_BYTES = 1 << 24  # copied at a time


def pull(offered: Offer, *, quant: Quant = "auto", keep_original: bool = False) -> Iterator[JobProgress]:
    """Installs the model of an offer. Yields the progress of its stages: waiting, fetching, checking, copying, packing.

    quant: "auto" packs large checkpoints. keep_original: the published files stay in the store too.
    Raises UsageError and ModelError (BadCheckpoint, NoRoom; also if the system refuses a write).
    """
    name = offered.origin.name
    if not store.is_free(name):
        yield JobProgress("waiting", 0, 0)
    with store.locked(name, wait=True), store.writing(store.root()):
        if is_done(offered, quant=quant, keep_original=keep_original):
            return
        if offered.origin.folder is not None:
            yield from _pull_folder(offered, offered.origin.folder, quant)
        else:
            yield from _pull_repository(offered, quant=quant, keep_original=keep_original)


def pull_adapter(offered: Offer, base: Path) -> Iterator[JobProgress]:
    """Installs the adapter of an offer. base: the folder of the checkpoint that it must fit.

    Yields and raises as `pull` does; nothing that does not fit is installed.
    """
    name, listing, files = offered.origin.name, offered.listing, offered.files
    source = store.download_dir(name)
    with store.locked(name, wait=True), store.writing(store.root()):
        if is_done(offered):
            return
        download.prepare(source, files)
        for file in files:
            download.adopt(listing, file, source, store.model_dir(name))
        check_room(_missing(files, source), 0)
        for part in (_texts(files), files):  # what the settings refuse is known before the weights are fetched
            yield from _fetch(listing, part, source)
            yield from _verify(listing, part, source)
            adapter.read_settings(source, name=offered.origin.name)
        adapter.read(source, *families.read(base))
        store.install(source, _record(offered, "none"))
        store.discard_downloads(name)


def is_done(offered: Offer, *, quant: Quant = "auto", keep_original: bool = False) -> bool:
    """Whether the store has the model in the form wanted. Raises UsageError if it has another model of that name."""
    name = offered.origin.name
    store.require_ours(name)
    record = store.read_record(store.model_dir(name))
    if record is None:
        return False
    if not is_same(record.source, offered.origin.where):
        raise UsageError(f"there is a model {name} from {record.source}", hint=f"diffu model rm {name} makes room")
    same = offered.origin.folder is None and record.revision == offered.listing.commit and _is_intact(offered, record)
    complete = not keep_original or store.download_dir(name).is_dir()
    return same and complete and quant in {"auto", record.quant}


def _is_intact(offered: Offer, record: Record) -> bool:
    """Whether the small files of an installed model are as they were pulled, but for those that packing writes anew."""
    rewritten = {CONFIG, INDEX} if record.quant == NF4 else set()
    kept = [file for file in _texts(offered.files) if file.name not in rewritten]
    return all(download.is_intact(file, store.model_dir(record.name)) for file in kept)


def check_room(to_fetch: int, to_make: int) -> None:
    """Raises NoRoom unless the disk of the store has room for so many more bytes."""
    folder = store.root()
    folder.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(folder).free, to_fetch + to_make
    if needed > free:
        raise NoRoom(
            f"{format_bytes(needed)} are needed on the disk with {folder} ({format_bytes(to_fetch)} to fetch, "
            f"{format_bytes(to_make)} for the model), {format_bytes(free)} are free",
            hint=f"free {format_bytes(needed - free)}, or {store.ELSEWHERE}; diffu model list shows what is pulled",
        )


def _pull_repository(offered: Offer, *, quant: Quant, keep_original: bool) -> Iterator[JobProgress]:
    name, listing, files = offered.origin.name, offered.listing, offered.files
    source, staged = store.download_dir(name), store.staging_dir(name)
    if download.prepare(source, files):
        store.discard(staged)
    is_linked = source.is_symlink()  # then there may be other files
    if is_linked and SINGLE not in {file.name for file in files} and (source / SINGLE).exists():
        raise BadCheckpoint(f"{source / SINGLE} is not a file of {name}", hint="move it away")
    for file in files:
        download.adopt(listing, file, source, store.model_dir(name))
    if not staged.exists():
        check_room(_missing(files, source), 0)
    yield from _fetch(listing, _texts(files), source)
    yield from (step for step in _verify(listing, _texts(files), source) if step.stage == "fetching")
    try:
        config = _examine(source, files, offered.origin.repository)
    except OtherFormat as exc:
        raise OtherFormat(exc.message, hint=original(listing)) from exc
    packs = _packs(quant, config)
    quantization, stays = NF4 if packs else config.quantization, keep_original or is_linked
    if staged.exists() and families.read(staged, source=offered.origin.repository)[0].quantization != quantization:
        store.discard(staged)
    if not staged.exists():
        check_room(_missing(files, source), packed_bytes(config, width=2) if packs else offered.total * stays)
        yield from _fetch(listing, files, source)
        yield from _verify(listing, files, source)
        _check_headers(files, source)
        if packs or stays:
            yield from _stage(source, staged, files, packs=packs, repository=offered.origin.repository)
    store.install(staged if staged.exists() else source, _record(offered, quantization))
    if not keep_original:
        store.discard_downloads(name)


def _pull_folder(offered: Offer, folder: Path, quant: Quant) -> Iterator[JobProgress]:
    staged = store.staging_dir(offered.origin.name)
    config = _examine(folder, offered.files)
    packs = _packs(quant, config)
    check_room(0, packed_bytes(config, width=2) if packs else offered.total)
    _check_headers(offered.files, folder)
    store.discard(staged)
    yield from _stage(folder, staged, offered.files, packs=packs)
    store.install(staged, _record(offered, NF4 if packs else config.quantization))


def _stage(
    source: Path, staged: Path, files: tuple[Remote, ...], *, packs: bool, repository: str = ""
) -> Iterator[JobProgress]:
    """Makes the model in `staged` from the files in `source`, which stay."""
    staged.parent.mkdir(parents=True, exist_ok=True)
    if packs:
        from diffucli.model.quantize import quantize

        yield from quantize(source, staged, repository=repository)
    else:
        yield from _copy(files, source, staged)


def _texts(files: Iterable[Remote]) -> list[Remote]:
    """Those of `files` that hold no weights."""
    return [file for file in files if not file.name.endswith(WEIGHTS)]


def _missing(files: Iterable[Remote], folder: Path) -> int:
    """Bytes of `files` that are not in `folder` yet."""
    return sum(file.size - download.present(file, folder) for file in files)


def _fetch(listing: Listing, files: Iterable[Remote], folder: Path) -> Iterator[JobProgress]:
    """Fetches those of `files` that are not there yet. `done` counts the bytes present of all files."""
    total, best = sum(file.size for file in listing.files), 0
    for file in files:
        others = sum(download.present(other, folder) for other in listing.files if other is not file)
        for size in download.fetch(listing, file, folder):
            best = max(best, others + size)
            yield JobProgress("fetching", best, total)


def _verify(listing: Listing, files: Sequence[Remote], folder: Path, *, again: bool = True) -> Iterator[JobProgress]:
    """Compares `files` with their digests. Those that differ are fetched anew; Damaged: they differ `again`."""
    total, done, damaged = sum(file.size for file in files), 0, []
    for file in files:
        try:
            for size in download.verify(file, folder):
                yield JobProgress("checking", done + size, total)
        except download.Damaged:
            (folder / file.name).unlink()
            if not again:
                raise
            damaged.append(file)
        done += file.size
    if damaged:
        yield from _fetch(listing, damaged, folder)
        yield from _verify(listing, damaged, folder, again=False)


def _check_headers(files: tuple[Remote, ...], folder: Path) -> None:
    """Raises BadCheckpoint if a file of weights is no safetensors file, even with the right digest."""
    for file in files:
        if file.name.endswith(WEIGHTS):
            tensor_sizes(folder / file.name)


def _copy(files: tuple[Remote, ...], source: Path, staged: Path) -> Iterator[JobProgress]:
    """Copies `files` to the folder `staged`, which appears when all of them are there."""
    unfinished, total, done = staged.with_name(f".{staged.name}"), sum(file.size for file in files), 0
    store.discard(unfinished)
    unfinished.mkdir(parents=True)
    for file in files:
        with (source / file.name).open("rb") as old, (unfinished / file.name).open("wb") as new:
            while block := old.read(COPY_BYTES):
                new.write(block)
                done += len(block)
                yield JobProgress("copying", done, total)
    unfinished.rename(staged)


def _examine(folder: Path, files: Iterable[Remote], source: str = "") -> Config:
    """The config of a checkpoint whose small files are in `folder`. Raises BadCheckpoint if it cannot be run.

    source: the repository that they are from, which error messages name.
    """
    config, found = families.read(folder, name=source, source=source)
    tokenizer.read(folder, found)
    if (folder / INDEX).exists():
        check_index(folder / INDEX, frozenset(file.name for file in files if file.name.endswith(WEIGHTS)))
    return config


def _packs(quant: Quant, config: Config) -> bool:
    """Whether a checkpoint is to be packed. Raises UsageError if `quant` is not possible."""
    if config.quantization == NF4:
        if quant == "none":
            raise UsageError("this checkpoint is in four bits as it is published", hint="leave --quant none out")
        return False
    packs = quant == NF4 or (quant == "auto" and config.is_large)
    if packs and not has_bitsandbytes():
        raise UsageError(NO_BITSANDBYTES, hint="add --quant none")
    return packs


def _record(offered: Offer, quantization: str) -> Record:
    listing = offered.listing
    return Record(
        name=offered.origin.name,
        source=offered.origin.where,
        revision=listing.commit,
        quant=quantization,
        licence=listing.licence,
        licence_link=listing.licence_link,
        pulled=datetime.now(UTC).isoformat(timespec="seconds"),
        files={file.name: (file.size, file.digest) for file in offered.files},
    )
