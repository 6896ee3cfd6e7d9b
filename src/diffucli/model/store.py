"""Pulled checkpoints on disk: one folder a model, with a record of where it came from.

A model is installed by a rename, so one that is half done is never listed. Unfinished work lies in folders whose names
begin with a dot. Only what has the record of a pull, or lies in such a folder, is ever replaced or deleted; of a link
to a folder, only the link.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from diffucli import atomic, files, settings
from diffucli.errors import ModelError, UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD = "diffu.json"
OLD = ".old-"
SCHEMA = "diffu.pulled/1"
ELSEWHERE = "set DIFFU_HOME to a folder on another disk"
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})?")


@dataclass(frozen=True, slots=True)
class Record:
    """Where a model comes from. revision: the commit, "" for a folder. pulled: ISO 8601. files: name → (bytes, digest).

    source: a repository or a folder. quant: "nf4" or "none". licence, licence_link: "" if unknown.
    """

    name: str
    source: str
    revision: str
    quant: str
    licence: str
    licence_link: str
    pulled: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def root() -> Path:
    """The folder that holds the models: $DIFFU_HOME/models, or one in the user's cache folder."""
    return settings.home(platformdirs.user_cache_dir("diffu", appauthor=False)) / "models"


def is_name(text: str) -> bool:
    """Whether `text` can name a model: letters, digits and `._-`, not a dot first, with at most one `/` in between.

    Names become folders that are deleted, so "", ".", ".." and ".fetched" must never be accepted, nor "--", which
    stands for the "/".
    """
    return bool(_NAME.fullmatch(text)) and ".." not in text and "--" not in text


def model_dir(name: str) -> Path:
    """The folder of the model `name`, whether it exists or not. Raises ModelError if no model can have that name."""
    if not is_name(name):
        raise ModelError(f"{name!r} cannot be a model's name", hint="diffu model list shows the models there are")
    return root() / name.replace("/", "--")


def download_dir(name: str) -> Path:
    """Where the published files of `name` are downloaded to; with --keep-original they stay."""
    return root() / ".fetched" / model_dir(name).name


def note_path(downloads: Path) -> Path:
    """The file with the names and digests of what was fetched into a folder of downloads, or is to be."""
    return downloads.with_name(f".{downloads.name}.json")


def staging_dir(name: str) -> Path:
    """Where the model `name` is made before it is installed."""
    return root() / ".made" / model_dir(name).name


def replaced_dir(name: str) -> Path:
    """Where an installed model is moved while another one takes its place."""
    target = model_dir(name)
    return target.with_name(f"{OLD}{target.name}")


def records() -> tuple[Record, ...]:
    """The records of all complete models, by name. What a kill has left of an installation or removal is mended."""
    with suppress(OSError):
        for folder in root().glob(f"{OLD}*"):
            with suppress(ModelError):
                recover(folder.name.removeprefix(OLD).replace("--", "/"))
        found = [read_record(folder) for folder in root().iterdir() if not folder.name.startswith(".")]
        return tuple(sorted((record for record in found if record), key=lambda record: record.name))
    return ()


def read_record(folder: Path) -> Record | None:
    """The record in `folder`; None if there is none, it is damaged, or it belongs to another folder."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        values = files.read_json(folder / RECORD)
        texts = {key: values[key] for key in Record.__slots__ if key != "files"}
        listed = {str(name): (int(size), str(digest)) for name, (size, digest) in values["files"].items()}
        record = Record(**texts, files=listed)
        if values["schema"] == SCHEMA and all(type(text) is str for text in texts.values()):
            return record if is_name(record.name) and model_dir(record.name).name == folder.name else None
    return None


def install(staged: Path, record: Record) -> Path:
    """Writes the record into the folder `staged` and renames that to the model's folder, replacing a pulled model.

    If the process is killed in between, `recover` puts the model back. The caller holds its lock. Raises ModelError.
    """
    target, replaced = model_dir(record.name), replaced_dir(record.name)
    with writing(root()):
        _recover(record.name)
        require_ours(record.name)
        swap_json(staged / RECORD, {"schema": SCHEMA} | asdict(record))
        if os.path.lexists(target):
            target.rename(replaced)
        staged.rename(target)
        with suppress(OSError):  # it is deleted with the next command
            discard(replaced)
    return target


def require_ours(name: str) -> None:
    """ModelError: something is in the place of the model `name` that diffu did not make."""
    folder = model_dir(name)
    if os.path.lexists(folder) and read_record(folder) is None:
        hint = f"move it away; a checkpoint in it can be run as -m {folder}"
        raise ModelError(f"{folder} is no model that diffu pulled (it has no sound {RECORD}), so it stays", hint=hint)


def require_outside(folder: Path) -> None:
    """UsageError: `folder` lies in the store, so it cannot be pulled into it."""
    if files.real(folder).is_relative_to(files.real(root())):
        raise UsageError(f"{folder} is in diffu's own store", hint=f"diffu model use {folder} makes it the default")


def recover(name: str) -> None:
    """Completes or undoes an installation or removal of `name` that was killed, unless one is going on now.

    If the new model is in place, the old one is deleted; otherwise the old one is put back, if it is still complete.
    Raises ModelError.
    """
    if os.path.lexists(replaced_dir(name)) and is_free(name):
        with locked(name, wait=True), writing(root()):
            _recover(name)


def _recover(name: str) -> None:
    target, replaced = model_dir(name), replaced_dir(name)
    is_complete = (replaced / RECORD).is_file()
    if read_record(target) is not None or not is_complete:
        discard(replaced)
    elif not os.path.lexists(target):
        replaced.rename(target)


def discard(folder: Path) -> None:
    """Deletes a folder, of which no part is ever a model, or a link to a folder, but nothing in that."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder)


def discard_downloads(name: str) -> None:
    """Deletes the folder of downloads, or of a linked one what was fetched into it and the link."""
    folder = download_dir(name)
    note = note_path(folder)
    if folder.is_symlink():
        for file in read_json(note):
            for path in (folder / Path(file).name, folder / f"{Path(file).name}.part"):
                path.unlink(missing_ok=True)
    discard(folder)
    note.unlink(missing_ok=True)


def leftovers(name: str) -> list[Path]:
    """The folders that hold anything of the model `name`: the model itself, downloads, and what was half done."""
    staged = staging_dir(name)
    unfinished = staged.with_name(f"{staged.name}.part"), staged.with_name(f".{staged.name}")
    found = [path for path in (replaced_dir(name), download_dir(name), staged, *unfinished) if os.path.lexists(path)]
    return found if read_record(model_dir(name)) is None else [model_dir(name), *found]


def linked_dir(name: str) -> Path | None:
    """Where the folder of the model `name` really is, if a link leads to it and it does not hold the store."""
    folder = model_dir(name)
    target = files.real(folder)
    return target if folder.is_symlink() and not files.real(root()).is_relative_to(target) else None


def remove(name: str, *, linked: bool = False) -> int:
    """Deletes the model `name` and everything downloaded for it. Returns the bytes freed, 0 if there was nothing.

    linked: if the model's folder is a link, what it leads to is deleted too.
    """
    with locked(name, wait=False), writing(root()):
        target = linked_dir(name) if linked else None
        gone = [folder for folder in leftovers(name) if not folder.is_symlink()]
        freed = sum(map(size, gone)) + (size(target) if target else 0)
        if read_record(model_dir(name)) is not None:
            discard(replaced_dir(name))
            model_dir(name).rename(replaced_dir(name))  # in one step, so that it is never listed in parts
        discard_downloads(name)
        for folder in leftovers(name):
            discard(folder)
        if target is not None:
            discard(target)
    return freed


def size(folder: Path) -> int:
    """Bytes of the files in `folder` and below."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@contextmanager
def locked(name: str, *, wait: bool) -> Iterator[None]:
    """Holds the lock of the model `name`. Raises ModelError if another process holds it and we do not `wait`."""
    path = root() / ".locks" / f"{model_dir(name).name}.lock"
    with ExitStack() as held:
        with writing(root()):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(atomic.locked(path, name, seconds=math.inf if wait else 0))
            except WriteFailed as exc:
                raise ModelError(f"{name} is being pulled just now", hint=exc.hint) from exc
        yield


def is_free(name: str) -> bool:
    """Whether no process holds the lock of the model `name`."""
    try:
        with locked(name, wait=False):
            return True
    except ModelError as exc:
        if isinstance(exc.__cause__, WriteFailed):
            return False
        raise


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in `path`; empty if there is none."""
    with suppress(OSError, ValueError):
        return files.read_json(path)
    return {}


def swap_json(path: Path, values: Mapping[str, object]) -> None:
    """Replaces `path` by the JSON of `values` in one step."""
    atomic.sweep(path.parent)
    atomic.write_atomic(path, (json.dumps(values, indent=1) + "\n").encode(), mode=0o666)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises ModelError in place of any OSError inside, which writes to `folder`."""
    try:
        yield
    except OSError as exc:
        raise _write_error(folder, exc) from exc


def _write_error(folder: Path, exc: OSError) -> ModelError:
    """The error for a write to `folder` that the system refused."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ModelError(
            f"the disk with {folder} is full; the files that were fetched stay",
            hint=f"free some space and pull again, or {ELSEWHERE}",
        )
    path = Path(os.fsdecode(exc.filename)) if isinstance(exc.filename, str | bytes) else folder
    reason = exc.strerror or exc
    if path.is_relative_to(folder) or folder.is_relative_to(path):
        return ModelError(f"{folder} cannot be written ({reason})", hint=ELSEWHERE)
    return ModelError(f"{path} cannot be read ({reason})", hint="check its permissions")
