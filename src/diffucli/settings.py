"""The files of settings: the user's own, and [tool.diffu] in the pyproject.toml of a project.

Reads and writes them; which keys there are is the command line's. A key that holds a value is all that is known here.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from diffucli import atomic, files
from diffucli.errors import UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME, FORMER = "config.toml", "config.json"  # FORMER is read where there is no NAME, and goes with the first write
LOCK, LOCK_SECONDS = ".config.lock", 10.0
PROJECT, TABLE = "pyproject.toml", "tool.diffu"
MOST_BYTES, NEWLINE = 1_000_000, "\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file sets. path: the file, whether it exists or not. text: of it. values: by key, as TOML has them."""

    path: Path
    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    is_project: bool = False

    def word(self, key: str) -> str | None:
        """The value of `key` as an environment variable would have it; None if it is not set. UsageError: a list."""
        value = self.values.get(key)
        if isinstance(value, list | dict):
            raise UsageError(f"{self.place(key)}: {key} takes one value", hint=f'such as {key} = "…"')
        return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)

    def place(self, key: str) -> str:
        """The file and, where it can be told, the line of `key`: "/home/me/.config/diffu/config.toml:3"."""
        start = re.search(rf"^\s*\[\s*{re.escape(TABLE)}\s*\]", self.text, re.MULTILINE) if self.is_project else None
        pattern = re.compile(rf"^[ \t]*([\"']?){re.escape(key)}\1[ \t]*[=.]", re.MULTILINE)
        found = pattern.search(self.text, start.end() if start else 0)
        return f"{self.path}:{self.text[: found.start()].count(NEWLINE) + 1}" if found else str(self.path)


def home(default: str) -> Path:
    """$DIFFU_HOME, or the folder `default`."""
    chosen = os.environ.get("DIFFU_HOME")
    return files.home(chosen).absolute() if chosen else Path(default)


def user_path() -> Path:
    """The user's file: $DIFFU_HOME/config.toml, or one in the user's config folder."""
    return home(platformdirs.user_config_dir("diffu", appauthor=False)) / NAME


def user() -> Settings:
    """The user's settings; none where there is no such folder, or it may not be entered. UsageError: a damaged file."""
    path = user_path()
    text = _read(path)
    if text is not None:
        return Settings(path, text, _parsed(path, text))
    former = path.with_name(FORMER)
    if (text := _read(former)) is None:
        return Settings(path)
    try:
        model = files.parse_json(text).get("model")
    except ValueError as exc:
        raise _damaged(former, files.reason(exc), hint="mend it or delete it") from exc
    return Settings(former, text, {"model": model} if isinstance(model, str) else {})


def project() -> Settings:
    """The settings of the project that the current folder is in. UsageError: they cannot be read."""
    try:
        path = files.project_root(Path.cwd()) / PROJECT
    except OSError:  # the current folder is gone
        return Settings(Path(PROJECT), is_project=True)
    text = _read(path)
    if text is None or "diffu" not in text:
        return Settings(path, is_project=True)
    values: object = _parsed(path, text)
    for name in TABLE.split("."):
        values = values.get(name, {}) if isinstance(values, dict) else {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: {TABLE} is no table", hint=f"write [{TABLE}], and below it the settings")
    return Settings(path, text, values, is_project=True)


def store(key: str, value: object) -> None:
    """Sets `key` in the user's file, or takes it out (None); all else there stays. UsageError, WriteFailed."""
    import tomlkit

    if value is None and key not in user().values:
        return
    with _locked():
        found = user()
        document = tomlkit.parse(found.text if found.path.name == NAME else "")
        if found.path.name == FORMER:
            document.update(found.values)
        document.pop(key, None) if value is None else document.update({key: value})
        write(tomlkit.dumps(document).rstrip(NEWLINE) + NEWLINE)


@contextmanager
def _locked() -> Iterator[None]:
    """Nobody else changes the user's file inside. WriteFailed: somebody else does for too long, or it cannot be."""
    path = user_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.locked(path.with_name(LOCK), str(path), seconds=LOCK_SECONDS):
            yield
    except OSError as exc:
        raise _not_written(path, exc) from exc


def write(text: str) -> None:
    """Replaces the user's file in one step; a link to it stays one. WriteFailed: the system refuses."""
    path = user_path()
    target = files.real(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.sweep(target.parent)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666
        atomic.write_atomic(target, text.encode(), mode=mode)
        path.with_name(FORMER).unlink(missing_ok=True)
    except UnicodeEncodeError as exc:
        raise UsageError("the value is not valid UTF-8", hint="give it in UTF-8") from exc
    except OSError as exc:
        raise _not_written(path, exc) from exc


def _not_written(path: Path, exc: OSError) -> WriteFailed:
    hint = "make its folder writable, or set DIFFU_HOME to another one"
    return WriteFailed(f"{path} cannot be written ({files.reason(exc)})", hint=hint)


def _read(path: Path) -> str | None:
    """The text of a file; None where there is none to be found. UsageError: it cannot be read."""
    try:
        return files.read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as exc:
        if isinstance(exc, PermissionError) and not os.access(path.parent, os.X_OK):
            return None
        reason = "it is not UTF-8" if isinstance(exc, UnicodeError) else files.reason(exc)
        raise _damaged(path, reason, hint="put a text file there, or none") from exc


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    hint = "mend it" if path.name == PROJECT else "diffu config edit opens it"
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise _damaged(path, "it is nested too deeply", hint=hint) from exc
    except ValueError as exc:
        raise _damaged(path, str(exc).replace(" (at ", ", ").removesuffix(")"), hint=hint) from exc


def _damaged(path: Path, reason: str, *, hint: str) -> UsageError:
    return UsageError(f"{path} cannot be read ({reason})", hint=hint)
