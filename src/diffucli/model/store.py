"""Pulled checkpoints on disk: one folder a model, with a record of where it came from.

A model is installed by a rename, so one that is half done is never listed. Unfinished work lies in folders whose names
begin with a dot.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from diffucli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from filelock import BaseFileLock

RECORD = "diffu.json"
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


def home(default: str) -> Path:
    """$DIFFU_HOME, or the folder `default`."""
    chosen = os.environ.get("DIFFU_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path(default)


def root() -> Path:
    """The folder that holds the models: $DIFFU_HOME/models, or one in the user's cache folder."""
    return home(platformdirs.user_cache_dir("diffu", appauthor=False)) / "models"


def is_name(text: str) -> bool:
    """Whether `text` can name a model: letters, digits and `._-`, not a dot first, with at most one `/` in between.

    Names become folders that are deleted, so "", ".", ".." and ".fetched" must never be accepted.
    """
    return bool(_NAME.fullmatch(text)) and ".." not in text


def model_dir(name: str) -> Path:
    """The folder of the model `name`, whether it exists or not. Raises ModelError if no model can have that name."""
    if not is_name(name):
        raise ModelError(f"{name!r} cannot be a model's name", hint="diffu model list shows the models there are")
    return root() / name.replace("/", "--")


def download_dir(name: str) -> Path:
    """Where the published files of `name` are downloaded to; with --keep-original they stay."""
    return root() / ".fetched" / model_dir(name).name


def staging_dir(name: str) -> Path:
    """Where the model `name` is made before it is installed."""
    return root() / ".made" / model_dir(name).name


def replaced_dir(name: str) -> Path:
    """Where an installed model is moved while another one takes its place."""
    target = model_dir(name)
    return target.with_name(f".old-{target.name}")


def records() -> tuple[Record, ...]:
    """The records of all complete models, by name."""
    with suppress(OSError):
        found = [read_record(folder) for folder in root().iterdir() if not folder.name.startswith(".")]
        return tuple(sorted((record for record in found if record), key=lambda record: record.name))
    return ()


def read_record(folder: Path) -> Record | None:
    """The record in `folder`; None if there is none, it is damaged, or it belongs to another folder."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        texts = {key: values[key] for key in Record.__slots__ if key != "files"}
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in values["files"].items()}
        record = Record(**texts, files=files)
        if values["schema"] == SCHEMA and all(type(text) is str for text in texts.values()):
            return record if is_name(record.name) and model_dir(record.name).name == folder.name else None
    return None


def install(staged: Path, record: Record) -> Path:
    """Writes the record into the folder `staged` and renames that to the model's folder, replacing what was there.

    If the process is killed in between, `recover` puts the model back. The caller holds its lock. Raises ModelError.
    """
    target, replaced = model_dir(record.name), replaced_dir(record.name)
    with writing(root()):
        _recover(record.name)
        swap_json(staged / RECORD, {"schema": SCHEMA} | asdict(record))
        if target.exists():
            target.rename(replaced)
        staged.rename(target)
        shutil.rmtree(replaced, ignore_errors=True)
    return target


def recover(name: str) -> None:
    """Completes or undoes an installation of `name` that was killed, unless a process is installing it now.

    If the new model is in place, the old one is deleted; otherwise the old one is put back. Raises ModelError.
    """
    if replaced_dir(name).is_dir() and is_free(name):
        with locked(name, wait=True), writing(root()):
            _recover(name)


def _recover(name: str) -> None:
    target, replaced = model_dir(name), replaced_dir(name)
    if not replaced.is_dir():
        return
    if target.exists():
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        replaced.rename(target)


def leftovers(name: str) -> list[Path]:
    """The folders that hold anything of the model `name`: the model itself, downloads, and what was half done."""
    staged = staging_dir(name)
    unfinished = staged.with_name(f"{staged.name}.part"), staged.with_name(f".{staged.name}")
    found = (model_dir(name), replaced_dir(name), download_dir(name), staged, *unfinished)
    return [folder for folder in found if folder.is_dir()]


def remove(name: str) -> int:
    """Deletes the model `name` and everything downloaded for it. Returns the bytes freed, 0 if there was nothing."""
    with locked(name, wait=False), writing(root()):
        folders = leftovers(name)
        freed = sum(size(folder) for folder in folders)
        for folder in folders:
            (folder / RECORD).unlink(missing_ok=True)  # it is no model from now on, even if we are interrupted
        for folder in folders:
            shutil.rmtree(folder)
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
    with writing(root()):
        lock = _lock(name)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout as exc:
            raise ModelError(f"{name} is being pulled just now", hint="wait until that is done") from exc
    try:
        yield
    finally:
        lock.release()


def is_free(name: str) -> bool:
    """Whether no process holds the lock of the model `name`."""
    with writing(root()):
        try:
            with _lock(name).acquire(timeout=0):
                return True
        except Timeout:
            return False


def _lock(name: str) -> BaseFileLock:
    path = root() / ".locks" / f"{model_dir(name).name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in `path`; empty if there is none."""
    with suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict):
            return values
    return {}


def swap_json(path: Path, values: Mapping[str, object]) -> None:
    """Replaces `path` by the JSON of `values` in one step."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
