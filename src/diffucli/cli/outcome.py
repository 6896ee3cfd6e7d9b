"""What becomes of new text: a file written with its pre-image kept, a patch, or a refusal that shows the text.

Knows nothing of models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.cli.report import say
from diffucli.edit import patch
from diffucli.edit.store import Store, default_root
from diffucli.errors import Unparsable

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.edit.source import Source
    from diffucli.syntax.check import Verdict

CONTEXT = 3  # lines shown around what does not parse


def save_new(path: Path, new: bytes) -> str | None:
    """Writes `new` to `path`, new or not; the id that `diffu undo` takes, None where nothing changed."""
    return patch.create(path, new, store=Store(default_root())).entry


def save(read: Source, new: bytes) -> str | None:
    """Writes `new` over the file that was read; as `save_new`."""
    return patch.write(read, new, store=Store(default_root())).entry


def refuse(name: str, text: str, verdict: Verdict, *, hint: str) -> Unparsable:
    """The refusal of `text`, which is shown on stderr around its first problem."""
    problem = verdict.problems[0]
    lines = text.splitlines()
    first = max(problem.line - 1 - CONTEXT, 0)
    for number, line in enumerate(lines[first : problem.line + CONTEXT], start=first + 1):
        say(f"{'>' if number == problem.line else ' '} {number:4} {line}")
    return Unparsable(f"{name}:{problem.line}:{problem.column}: {problem.message}; nothing was written", hint=hint)
