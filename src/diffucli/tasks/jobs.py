"""Jobs: what to fill in which file, and what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.edit import patch
from diffucli.edit import source as sources
from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.tasks import lowest, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from diffucli.edit.source import Source
    from diffucli.syntax.languages import Language
    from diffucli.tasks.engine import Result
    from diffucli.tasks.lowest import Lowest
    from diffucli.tasks.targets import Targets


UNNAMED = "<stdin>"  # what messages call a text that is in no file


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fill in files. regions: as `-r` has them. all_holes: `???` counts even where it is legal code.

    language: by its name; None: by the file's. length: bounds on the tokens of regions and holes that name none.
    lenient: a file may have nothing to fill. own: regions of single files. fragments: a text may be part of a function
    or class, as what an editor filters is. tools: programs of the system may be asked whether a text parses.
    """

    regions: tuple[str, ...] = ()
    all_holes: bool = False
    language: str | None = None
    length: tuple[int, int] | None = None
    lenient: bool = False
    own: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    fragments: bool = False
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """A file as it was read, its name in messages, its language, and what to fill in it.

    lowest: the Python of the project; None if it says none, and of other languages.
    """

    source: Source
    name: str
    language: Language
    targets: Targets
    lowest: Lowest | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """A job that is done, and the result of its run."""

    job: Job
    result: Result

    @property
    def new(self) -> bytes:
        """The file's new content. UsageError: its encoding lacks a character."""
        return self.job.source.encode(self.result.text)

    @property
    def changed(self) -> bool:
        """Whether the new content differs from what was read."""
        return self.new != self.job.source.raw

    @property
    def too_new(self) -> str:
        """A note where the new text needs a higher Python than the old one and the project; else ""."""
        return self.job.lowest.note(self.result.text, self.job.targets.plain) if self.job.lowest else ""

    def diff(self) -> bytes:
        """A patch for `git apply` in the current folder; it changes the file that a symlink leads to."""
        name, in_tree = _in_patch(self.job.name)
        return patch.unified_diff(self.job.source, self.new, name=name, git=in_tree)


def jobs_of(sources: Iterable[tuple[Source, Path | None]], wanted: Wanted) -> list[Job]:
    """The jobs of sources with their names (None: stdin) that have something to fill. UsageError: none has."""
    jobs = [_job(source, path, wanted) for source, path in sources]
    found = [job for job in jobs if job.targets.regions]
    if not found:
        raise UsageError(f"none of the {len(jobs)} files holds what to fill", hint="see diffu fill --help for -r")
    return found


def job_between(before: str, after: str, wanted: Wanted) -> Job:
    """The job of one hole between two texts, which may begin and end anywhere in a line. UsageError: it is no text."""
    language = languages.by_name(wanted.language or "python")
    text, found = targets.between(before.removeprefix("\ufeff"), after, language)
    bounded = found.bounded(wanted.length) if wanted.length else found
    return Job(sources.of_text(text), "<text>", language, bounded)


def _job(source: Source, path: Path | None, wanted: Wanted) -> Job:
    name = str(path or UNNAMED)
    language = replace(languages.detect(source.text, path, wanted.language), tools=wanted.tools)
    regions = wanted.regions + (wanted.own.get(path, ()) if path else ())
    try:
        found = targets.find(
            source.text,
            language,
            regions,
            all_holes=wanted.all_holes,
            lenient=wanted.lenient,
            fragments=wanted.fragments,
        )
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error
    bounded = found.bounded(wanted.length) if wanted.length else found
    return Job(source, name, language, bounded, lowest.of(path, language))


def _in_patch(name: str) -> tuple[str, bool]:
    """The real path of a file as `git apply` takes it in the current folder, and whether it is in the work tree there.

    Git counts paths from the top of the work tree, also in a folder below it; elsewhere from the current folder.
    """
    path, folder = files.real(Path(name)), files.real(Path.cwd())
    root = files.project_root(folder)
    if path.is_relative_to(root) and files.exists(root / ".git"):
        return path.relative_to(root).as_posix(), True
    return Path(os.path.relpath(path, folder)).as_posix(), False
