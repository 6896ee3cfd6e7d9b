"""Downloads files of a repository, continuing where an earlier try stopped, and verifies their digests."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from diffucli.errors import BadCheckpoint
from diffucli.model import hub, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from diffucli.model.hub import Listing, Remote

Value = TypeVar("Value")
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between tries without progress
LONGEST_WAIT = 300.0  # seconds; the hub counts requests in windows of five minutes
LOOK_WAITS, LONGEST_LOOK = (1.0, 2.0), 30.0  # the same, while somebody waits for the first word
YIELD_BYTES = 1 << 20  # written between two yields
HASH_BYTES = 1 << 22  # hashed at a time


class Damaged(BadCheckpoint):
    """A file does not have the digest that the hub gives."""


def patiently(request: Callable[[], Value]) -> Value:
    """The answer to `request`, which is repeated after transient errors. Raises ModelError after the last try."""
    waits = iter(LOOK_WAITS)
    while True:
        try:
            return request()
        except hub.Transient as exc:
            _pause(waits, exc, longest=LONGEST_LOOK)


def _pause(waits: Iterator[float], exc: hub.Transient, *, longest: float = LONGEST_WAIT) -> None:
    """Sleeps for the next of `waits`, or longer if the hub asks for it.

    Raises the error if no wait is left, or if the hub asks for more than the `longest`.
    """
    seconds = next(waits, None)
    if seconds is None or exc.after > longest:
        raise exc.error from exc.__cause__
    time.sleep(max(seconds, exc.after))


def part(file: Remote, folder: Path) -> Path:
    """The path of a file that is not complete yet."""
    return folder / f"{file.name}.part"


def present(file: Remote, folder: Path) -> int:
    """Bytes of `file` that are already in `folder`."""
    for path in (folder / file.name, part(file, folder)):
        if path.exists():
            return min(path.stat().st_size, file.size)
    return 0


def fetch(listing: Listing, file: Remote, folder: Path) -> Iterator[int]:
    """Downloads `file` into `folder` and yields how many bytes are present.

    Raises ModelError; what was downloaded stays, and the next call goes on from there.
    """
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
    """Appends the missing bytes of `file` to `path` by one request. Raises Transient if some are still missing."""
    with path.open("ab") as out:
        size = reported = out.tell()
        if size > file.size:
            size = reported = out.truncate(0)
        yield size
        if size == file.size:
            return
        for position, total, chunk in hub.stream(listing, file.name, size):
            if total not in {None, file.size}:  # another file, such as the page of a proxy: what is here stays
                raise _other_size(file, total)
            if position != size:  # the server supports no ranges and sends the file from its beginning
                out.truncate(position)
            size = position + len(chunk)
            if size > file.size:
                out.truncate(0)
                raise _other_size(file, size)
            out.write(chunk)
            if size - reported >= YIELD_BYTES or size == file.size:
                out.flush()
                yield (reported := size)
    if size < file.size:
        raise _other_size(file, size)


def _other_size(file: Remote, sent: int) -> BadCheckpoint | hub.Transient:
    """The error for `sent` bytes in place of the file's size."""
    if sent > file.size:
        return BadCheckpoint(f"{file.name} is longer than the hub says it is", hint=hub.PULL_AGAIN)
    message = f"{file.name} is truncated: the hub sends {sent} of {file.size} bytes"
    return hub.Transient(BadCheckpoint(message, hint=hub.PULL_AGAIN))


def verify(file: Remote, folder: Path) -> Iterator[int]:
    """Compares `file` in `folder` with its digest and yields the bytes read. Raises Damaged if they differ."""
    path = folder / file.name
    is_blob = len(file.digest) != hub.SHA256_DIGITS
    digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False) if is_blob else hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(HASH_BYTES):
            digest.update(block)
            yield content.tell()
    if file.digest and digest.hexdigest() != file.digest:
        raise Damaged(
            f"{file.name} was damaged in transit: its digest is not the one the hub gives",
            hint="pull again: only that file is fetched again",
        )


def is_intact(file: Remote, folder: Path) -> bool:
    """Whether `file` is in `folder` and has its digest; reads all of it."""
    try:
        deque(verify(file, folder), maxlen=0)
    except (OSError, Damaged):
        return False
    return True


def adopt(listing: Listing, file: Remote, folder: Path, installed: Path) -> None:
    """Links `file` into `folder` from the hub client's own cache, or from the folder of the `installed` model.

    Only if it is there in the right size and on the same disk. Its digest is compared later, as of all files.
    """
    places: tuple[Callable[[], Path | None], ...] = (
        lambda: hub.cached(listing, file.name),
        lambda: installed / file.name,
    )
    for place in places:
        with suppress(OSError):
            if (found := place()) and not present(file, folder) and found.stat().st_size == file.size:
                (folder / file.name).hardlink_to(found)


def prepare(folder: Path, wanted: tuple[Remote, ...]) -> bool:
    """Deletes what is not of the `wanted` files from `folder`. Returns whether other files were wanted before.

    Their digests are noted beside it. If `folder` is a link, only what was fetched into it is deleted.
    """
    digests = {file.name: file.digest for file in wanted}
    folder.mkdir(parents=True, exist_ok=True)
    note = store.note_path(folder)
    known = store.read_json(note)
    for path in folder.iterdir():
        name = path.name.removesuffix(".part")
        is_old = name not in digests or known.get(name) != digests[name]
        if is_old and (name in known or not folder.is_symlink()):
            path.unlink()
    store.swap_json(note, digests)
    return known != digests
