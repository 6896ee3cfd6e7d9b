"""The trace of a command: its events, kept in the log when it ends, and printed as they happen where --jsonl asks."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.cli import streams
from diffucli.errors import DiffuError
from diffucli.signals import unwinding_on_kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffucli.cli.report import Report
    from diffucli.events import Event
    from diffucli.trace.form import TraceJob
    from diffucli.trace.store import TraceStore

LONGEST_TEXT = 1_000_000  # characters of a text that is kept


def log_store() -> TraceStore:
    """The log of this user."""
    from diffucli.edit.undo import default_root
    from diffucli.trace.store import TraceStore

    return TraceStore(default_root().parent / "log")


@dataclass
class Journal:
    """What a command has done so far. header: what is known of it. pieces: gives a token's bytes.

    kept: whether it goes to the log. prints: whether each line goes to stdout at once.
    """

    header: dict[str, Any]
    pieces: Callable[[int], bytes]
    report: Report
    kept: bool
    prints: bool
    ending: dict[str, Any] | None = None
    id: str = ""
    _waiting: list[TraceJob | Event] = field(default_factory=list)
    _lines: list[bytes] = field(default_factory=list)

    @contextmanager
    def recording(self, command: str, request: str | None) -> Iterator[None]:
        """Within, a command runs. However that ends, by SIGTERM too, what there is of it is kept."""
        from diffucli.trace.form import LineWriter
        from diffucli.trace.store import new_id

        self.id, self._writer = new_id(), LineWriter(self.pieces)
        self.header |= {"id": self.id, "time": round(time.time(), 3), "command": command, "request": request}
        with unwinding_on_kill():
            try:
                yield
            except DiffuError as exc:
                from diffucli.cli import failure

                self.ending = self.ending or failure.values_of(exc, exc.exit_code)
                raise
            finally:
                self._save()

    def take(self, item: TraceJob | Event) -> None:
        """What happens next."""
        self._waiting.append(item)
        if self.prints:
            self._write()

    def _write(self) -> None:
        """Makes lines of what is waiting."""
        from diffucli.trace import form

        values = [] if self._lines else [self._header()]
        for item in self._waiting:
            values += [form.job_line(item)] if isinstance(item, form.TraceJob) else self._writer.lines(item)
        self._waiting.clear()
        lines = [form.to_json(each) for each in values]
        self._lines += lines
        if self.prints and lines:
            streams.put(b"".join(lines))

    def _header(self) -> dict[str, Any]:
        from importlib.metadata import version

        from diffucli.trace.form import SCHEMA

        return {"schema": SCHEMA, "version": version("diffucli"), **self.header}

    def _save(self) -> None:
        """Keeps the trace in the log. That this fails is told to those who ask alone."""
        if not self.kept or not (self._waiting or self._lines):
            return
        from diffucli.trace import form

        self.prints = False
        self._write()
        lines = [*self._lines, form.to_json(_shortened(self.ending))] if self.ending else self._lines
        try:
            if max(map(len, lines)) > form.MAX_LINE or len(lines) > form.MAX_LINES:
                raise ValueError("it is too long")  # noqa: TRY301 — told as what the system says
            log_store().save(self.id, lines)
        except (OSError, ValueError) as exc:
            self.report.note(f"this run is not kept in the log ({files.reason(exc)})")


def _shortened(values: dict[str, Any]) -> dict[str, Any]:
    """`values` without texts that are too long to be kept."""
    short = {key: value for key, value in values.items() if not isinstance(value, str) or len(value) <= LONGEST_TEXT}
    return short | ({"files": [_shortened(each) for each in values["files"]]} if "files" in values else {})
