"""The log: the traces of past runs, one file each, the newest of them up to a limit. Only their owner may read them."""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from diffucli import atomic, files
from diffucli.errors import UsageError
from diffucli.trace.file import compressed

LAST = "last"
SUFFIX = ".jsonl.xz"
_NAME = re.compile(rf"([0-9]{{8}}-[0-9]{{9}})-([0-9a-f]{{6}}){re.escape(SUFFIX)}")
_HALF_MADE = re.compile(r"\.[0-9a-f]{6}\.part")
_HOUR = 3600.0  # seconds after which a file that is half made is nobody's


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """A trace of the log. size: bytes on disk."""

    id: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class TraceStore:
    """The log in the folder `root`, which the first trace creates. It keeps the newest traces within both limits."""

    root: Path
    max_traces: int = 500
    max_bytes: int = 50_000_000

    def save(self, run: str, lines: list[bytes]) -> Path:
        """Keeps the trace of a run, and drops the oldest ones beyond the limits. OSError: the system refuses."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time()
        when = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now)) + f"{int(now * 1000) % 1000:03}"
        path = self.root / f"{when}-{run}{SUFFIX}"
        part = self.root / f".{run}.part"
        try:
            with FileIO(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                atomic.write_fully(file, compressed(lines))
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        self.prune()
        return path

    def entries(self) -> list[KeptTrace]:
        """All traces, the newest first."""
        if not files.is_folder(self.root):
            return []
        found = []
        for path in sorted(self.root.iterdir(), reverse=True):
            if match := _NAME.fullmatch(path.name):
                with suppress(OSError):  # it was pruned meanwhile
                    found.append(KeptTrace(match[2], path, path.lstat().st_size))
        return found

    def find(self, name: str) -> Path:
        """The file of the trace with an id, of the "last" run, or with this path. UsageError: there is none."""
        entries = self.entries()
        if name == LAST and entries:
            return entries[0].path
        if match := next((each for each in entries if each.id == name), None):
            return match.path
        if files.exists(Path(name)) and not files.is_folder(Path(name)):
            return Path(name)
        if name == LAST:
            raise UsageError("no run is in the log", hint="gen and fill keep one each, unless diffu log off forbids it")
        raise UsageError(f"{name!r} is neither a run of the log nor a file", hint="diffu log list shows the runs")

    def remove(self, run: str | None) -> list[KeptTrace]:
        """Deletes the trace with an id ("last": of the last run), or all of them; those that are gone. UsageError."""
        entries = self.entries()
        if run == LAST:
            entries = entries[:1]
        elif run is not None:
            entries = [each for each in entries if each.id == run]
        if run is not None and not entries:
            raise UsageError(f"{run!r} is no run of the log", hint="diffu log list shows the runs")
        for each in entries:
            each.path.unlink(missing_ok=True)
        return entries

    def prune(self) -> list[KeptTrace]:
        """Deletes the oldest traces beyond the limits, never the newest; those that are gone."""
        used, gone = 0, []
        for index, entry in enumerate(self.entries()):
            used += entry.size
            if index and (index >= self.max_traces or used > self.max_bytes):
                with suppress(OSError):
                    entry.path.unlink()
                    gone.append(entry)
        for path in self.root.glob(".*.part"):
            with suppress(OSError):
                if _HALF_MADE.fullmatch(path.name) and path.lstat().st_mtime < time.time() - _HOUR:
                    path.unlink()
        return gone


def new_id() -> str:
    """An id for a run."""
    return secrets.token_hex(3)
