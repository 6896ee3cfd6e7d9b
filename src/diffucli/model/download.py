"""A file of a repository becomes a file on this disk: from where an earlier try stopped, and compared with its digest.

Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, TypeVar

from diffucli.errors import BadCheckpoint
from diffucli.model import hub, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from diffucli.model.hub import Listing, Remote

Value = TypeVar("Value")
NOTE = "diffu-fetching.json"
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between tries that bring nothing
LONGEST_WAIT = 300.0  # seconds; the hub counts requests in windows of five minutes
STEP = 1 << 20  # bytes between two yields
BLOCK = 1 << 22  # bytes hashed at a time


def patiently(request: Callable[[], Value]) -> Value:
    """The answer to a request, asked again where that may help. ModelError when patience ends."""
    waits = iter(WAITS)
    while True:
        try:
            return request()
        except hub.Transient as exc:
            _pause(waits, exc)


def _pause(waits: Iterator[float], exc: hub.Transient) -> None:
    """Sleeps as long as the hub asks for or the next of `waits`; raises the error when there is none left."""
    seconds = next(waits, None)
    if seconds is None:
        raise exc.error from exc.__cause__
    time.sleep(min(max(seconds, exc.after), LONGEST_WAIT))


def part(file: Remote, folder: Path) -> Path:
    """Where a file lies until all of it is here."""
    return folder / f"{file.name}.part"


def present(file: Remote, folder: Path) -> int:
    """Bytes of `file` that are in `folder` already."""
    for path in (folder / file.name, part(file, folder)):
        if path.exists():
            return min(path.stat().st_size, file.size)
    return 0


def fetch(listing: Listing, file: Remote, folder: Path) -> Iterator[int]:
    """Brings `file` into `folder`, yielding how many bytes are there. ModelError; what has come stays."""
    path, target = part(file, folder), folder / file.name
    if target.exists() and target.stat().st_size == file.size:
        return
    target.unlink(missing_ok=True)
    waits, best = iter(WAITS), -1
    while True:
        try:
            for size in _append(listing, file, path):
                yield size
                if size > best:
                    waits, best = iter(WAITS), size
            break
        except hub.Transient as exc:
            _pause(waits, exc)
    path.replace(target)


def _append(listing: Listing, file: Remote, path: Path) -> Iterator[int]:
    """One request for what is missing of `file`, written to `path`. Transient where bytes are missing at its end."""
    with path.open("ab") as out:
        size = told = out.tell()
        if size > file.size:
            size = told = out.truncate(0)
        yield size
        if size == file.size:
            return
        for position, chunk in hub.stream(listing, file.name, size):
            if position != size:  # the server knows no ranges: from the beginning
                out.truncate(position)
            size = position + len(chunk)
            if size > file.size:
                out.truncate(0)
                raise BadCheckpoint(f"{file.name} is longer than the hub says it is", hint=hub.AGAIN)
            out.write(chunk)
            if size - told >= STEP or size == file.size:
                out.flush()
                yield (told := size)
    if size < file.size:
        raise hub.Transient(
            BadCheckpoint(f"{file.name} is truncated: the hub sends {size} of {file.size} bytes", hint=hub.AGAIN)
        )


def verify(file: Remote, folder: Path) -> Iterator[int]:
    """Compares `file` with its digest, yielding the bytes read. BadCheckpoint names it, and it is deleted."""
    path = folder / file.name
    digest = hashlib.sha256() if len(file.digest) == hub.SHA256 else hashlib.sha1(usedforsecurity=False)
    if len(file.digest) != hub.SHA256:
        digest.update(b"blob %d\0" % file.size)
    with path.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
            yield content.tell()
    if file.digest and digest.hexdigest() != file.digest:
        path.unlink()
        raise BadCheckpoint(
            f"{file.name} was damaged on its way: its digest is not the one the hub gives",
            hint="pull again: that file alone is fetched anew",
        )


def adopt(listing: Listing, file: Remote, folder: Path) -> None:
    """Takes `file` from the hub client's own cache by a hard link, where it is there and on the same disk."""
    found = hub.cached(listing, file.name)
    if found and not present(file, folder) and found.stat().st_size == file.size:
        try:
            (folder / file.name).hardlink_to(found)
        except OSError:
            return


def ready(folder: Path, wanted: tuple[Remote, ...]) -> bool:
    """Readies `folder` for the `wanted` files; True where it was for others, and what differs is deleted.

    A small file there, NOTE, says which digests its files and parts belong to.
    """
    digests = {file.name: file.digest for file in wanted}
    folder.mkdir(parents=True, exist_ok=True)
    known = store.read_json(folder / NOTE)
    for path in folder.iterdir():
        name = path.name.removesuffix(".part")
        if path.name != NOTE and (name not in digests or known.get(name) != digests[name]):
            path.unlink()
    store.swap_json(folder / NOTE, digests)
    return known != digests
