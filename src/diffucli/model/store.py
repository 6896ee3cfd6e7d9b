"""Where pulled checkpoints lie: one folder a model, each with a record of where it came from.

A folder is a model once its record is in it, and it gets its place by one rename: what is half done lies elsewhere.
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
    """How a model came here. revision: the commit, "" for a folder. pulled: ISO 8601. files: name → [bytes, digest]."""

    name: str
    source: str
    revision: str
    quant: str
    licence: str
    licence_link: str
    pulled: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def root() -> Path:
    """The folder of the models: $DIFFU_HOME/models, else in the user's cache folder."""
    home = os.environ.get("DIFFU_HOME")
    base = Path(home).expanduser().absolute() if home else Path(platformdirs.user_cache_dir("diffu", appauthor=False))
    return base / "models"


def is_name(text: str) -> bool:
    """Whether `text` can name a model: letters, digits and `._-` that do not begin with a dot, at most one `/`.

    Names become folders that are deleted, so nothing else may get near a path: not "", ".", ".." or ".fetched".
    """
    return bool(_NAME.fullmatch(text)) and ".." not in text


def place(name: str) -> Path:
    """The folder of the model `name`, there or not. ModelError where that cannot be a name."""
    if not is_name(name):
        raise ModelError(f"{name!r} cannot be a model's name", hint="diffu model list shows those there are")
    return root() / name.replace("/", "--")


def originals(name: str) -> Path:
    """Where the published files of `name` are fetched to; they stay here with --keep-original."""
    return root() / ".fetched" / place(name).name


def workshop(name: str) -> Path:
    """Where the packed form of `name` is made before it takes its place."""
    return root() / ".made" / place(name).name


def records() -> tuple[Record, ...]:
    """The models that are whole, by name."""
    with suppress(OSError):
        found = [read_record(folder) for folder in root().iterdir() if not folder.name.startswith(".")]
        return tuple(sorted((record for record in found if record), key=lambda record: record.name))
    return ()


def read_record(folder: Path) -> Record | None:
    """The record in `folder`; None where there is none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        texts = {key: values[key] for key in Record.__slots__ if key != "files"}
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in values["files"].items()}
        record = Record(**texts, files=files)
        if values["schema"] == SCHEMA and all(type(text) is str for text in texts.values()):
            return record if is_name(record.name) and place(record.name).name == folder.name else None
    return None


def settle(made: Path, record: Record) -> Path:
    """Writes the record into the folder `made` and gives it the model's place; what was there goes. ModelError."""
    target = place(record.name)
    old = target.with_name(f".old-{target.name}")
    with writing(root()):
        swap_json(made / RECORD, {"schema": SCHEMA} | asdict(record))
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def traces(name: str) -> list[Path]:
    """The folders that hold something of the model `name`, whole or half done."""
    made = workshop(name)
    found = (place(name), originals(name), made, made.with_name(f"{made.name}.part"), made.with_name(f".{made.name}"))
    return [folder for folder in found if folder.is_dir()]


def remove(name: str) -> int:
    """Deletes the model `name` with all that was fetched for it; the bytes freed, 0 where there was nothing."""
    folders = traces(name)
    with locked(name, wait=False), writing(root()):
        freed = sum(size(folder) for folder in folders)
        for folder in folders:
            if (folder / RECORD).exists():  # no model from now on, should the rest be cut short
                (folder / RECORD).unlink()
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
    """The model `name` to this process alone; ModelError where another has it and we do not `wait`."""
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
    """Whether no process has the model `name` to itself just now."""
    with writing(root()):
        try:
            with _lock(name).acquire(timeout=0):
                return True
        except Timeout:
            return False


def _lock(name: str) -> BaseFileLock:
    path = root() / ".locks" / f"{place(name).name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def read_json(path: Path) -> dict[str, object]:
    """The object in `path`; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict):
            return values
    return {}


def swap_json(path: Path, values: Mapping[str, object]) -> None:
    """Writes `values` to `path` in one step."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns the system's refusals to write in `folder` into ModelError; a full disk says what is free."""
    try:
        yield
    except OSError as exc:
        raise refused(folder, exc) from exc


def refused(folder: Path, exc: OSError) -> ModelError:
    """The error of a write that the system refused."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ModelError(
            f"the disk with {folder} is full; what was fetched is kept",
            hint=f"free some space and pull again, or {ELSEWHERE}",
        )
    where = Path(os.fsdecode(exc.filename)) if isinstance(exc.filename, str | bytes) else folder
    ours = where.is_relative_to(folder) or folder.is_relative_to(where)
    why = exc.strerror or exc
    if ours:
        return ModelError(f"{folder} cannot be written ({why})", hint=ELSEWHERE)
    return ModelError(f"{where} cannot be read ({why})", hint="check its permissions")
