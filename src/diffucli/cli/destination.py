"""Where new text goes: into files, with their former content kept for `diffu undo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.errors import UsageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffucli.cli.report import Report
    from diffucli.edit.patch import Change


def require_target(path: Path) -> None:
    """WriteFailed or UsageError where it is plain before a run that `path` cannot be written."""
    from diffucli.edit import patch

    real = path.resolve()
    if not real.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist", hint=f"mkdir -p {real.parent}")
    if patch.content(real) is not None and not real.stat().st_mode & 0o222:
        raise WriteFailed(f"{path}: is read-only", hint=f"chmod u+w {path}, or write elsewhere with -o")


def write(changes: Sequence[tuple[Path, Change]], report: Report) -> list[str | None]:
    """Writes all changes or none, and reports them by the paths given.

    Returns the ids that `diffu undo` takes; None where a file had the content already.
    """
    from diffucli.edit import patch
    from diffucli.edit.undo import UndoStore, default_root

    written = patch.write_all([change for _, change in changes], store=UndoStore(default_root()))
    for (path, _), one in zip(changes, written, strict=True):
        report.notice(f"wrote {path} (undo with: diffu undo {one.undo_id})" if one.changed else f"{path} is unchanged")
    return [one.undo_id for one in written]
