"""Reads files that anyone may have put there: regular ones only, of a limited size, and JSON of a limited depth.

Every fault is an OSError or a ValueError with one line that says what is wrong.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from diffucli.units import format_bytes

MAX_JSON_BYTES = 20_000_000  # the vocabularies of published checkpoints have 3 MB
MAX_LINKS = 40  # as Linux has it
_DESCRIPTORS = re.compile(rf"/dev/fd|/proc/{os.getpid()}(/task/[0-9]+)?/fd")
_NUMBER = re.compile(r"[0-9]{1,9}")


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of a regular file, or of a link to one. A larger file is refused by its size, before it is read.

    Raises OSError: it cannot be read, is no regular file (opening a named pipe would never end) or has more than
    `limit` bytes. Raises ValueError: no file can have that name.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        content = file.read(limit + 1) if found.st_size <= limit else None
    if content is None or len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {format_bytes(limit)}", str(path))
    return content


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in a file. Raises OSError as `read_bytes`, and ValueError if there is no JSON object in it."""
    return parse_json(read_bytes(path, limit))


def parse_json(text: bytes | str) -> dict[str, Any]:
    """The JSON object in `text`. Raises ValueError: it is not UTF-8, no JSON, nested too deeply, or no object."""
    try:
        values = json.loads(text)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 — a fault of the text, as the others
    return values


def reason(error: OSError | ValueError) -> str:
    """What `error` says, without the number and the path that Python adds to what the system says."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def exists(path: Path) -> bool:
    """Whether there is a file or folder. What the system refuses to look for, such as a name too long, is not there."""
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder, as `exists`."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def real(path: Path) -> Path:
    """The absolute path without links. Unlike `Path.resolve`, a loop of links is no error, and stays as it is."""
    return Path(os.path.realpath(path))


def descriptor(path: Path) -> int | None:
    """The number of our descriptor that `path` names, itself or by links: /dev/stdin, /dev/fd/N, /proc/self/fd/N."""
    with suppress(OSError, ValueError):
        for _ in range(MAX_LINKS):
            folder = real(path.parent)
            if _DESCRIPTORS.fullmatch(str(folder)) and _NUMBER.fullmatch(path.name):
                return int(path.name)
            path = folder / (folder / path.name).readlink()  # OSError: it is no link
    return None


def home(text: str) -> Path:
    """The path `text`, in which `~` is the home folder. Unlike `Path.expanduser`, an unknown user stays as written."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def project_root(folder: Path) -> Path:
    """The git repository that `folder` is in, or else `folder` itself."""
    return next((each for each in (folder, *folder.parents) if exists(each / ".git")), folder)


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file without waiting for a writer, as opening a named pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
