"""One file's way through `diffu fill`: read, a run over all its regions, and the new text judged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.cli.report import run_values
from diffucli.cli.session import AGAIN
from diffucli.cli.streams import STDIN
from diffucli.edit import holes, patch, source
from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.tasks import targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffucli.cli.outcome import Court
    from diffucli.cli.report import Numbers
    from diffucli.cli.session import Session
    from diffucli.edit.source import Source
    from diffucli.syntax.check import CheckResult
    from diffucli.syntax.languages import Language
    from diffucli.tasks.targets import Targets


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to rewrite. specs: the forms of -r. holes: ??? counts even where it is legal code. lenient: or nothing.

    length: bounds on the tokens of what says none itself.
    """

    specs: tuple[str, ...]
    holes: bool
    lang: str | None
    lenient: bool
    length: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A file as read, its name to show, its language, and what to rewrite in it."""

    source: Source
    name: str
    language: Language
    targets: Targets


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A job done: the new text, its bytes, what the parser says of it, and the run's figures."""

    job: Job
    text: str
    new: bytes
    verdict: CheckResult
    numbers: Numbers

    @property
    def changed(self) -> bool:
        """Whether the new bytes differ from those that were read."""
        return self.new != self.job.source.raw

    def diff(self) -> bytes:
        """A patch for `git apply` in the current folder; a symlink's target is what it changes."""
        return patch.unified_diff(self.job.source, self.new, name=_from_here(self.job.name))

    def values(self, **more: object) -> dict[str, object]:
        """What --json says of it."""
        return {"file": self.job.name, "changed": self.changed, **more, **run_values(self.numbers, self.verdict)}


def jobs_of(paths: Sequence[Path], wanted: Wanted, *, stdin: bytes, stdin_name: Path | None) -> list[Job]:
    """The jobs of files, `-` being `stdin` under its name; of several those with targets. UsageError: there is none."""
    jobs = [
        _job(source.from_bytes(stdin, stdin_name), stdin_name, wanted)
        if path == STDIN
        else _job(source.read(path), path, wanted)
        for path in paths
    ]
    found = [job for job in jobs if job.targets.regions]
    if not found:
        raise UsageError(f"none of the {len(jobs)} files holds what to fill", hint="see diffu fill --help for -r")
    return found


def _job(read: Source, path: Path | None, wanted: Wanted) -> Job:
    name, language = str(path or "<stdin>"), language_of(read.text, path, wanted.lang)
    try:
        found = targets.find(read.text, language, wanted.specs, all_holes=wanted.holes, lenient=wanted.lenient)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error
    return Job(read, name, language, found.bounded(wanted.length) if wanted.length else found)


def rewrite(job: Job, prompt: str | None, session: Session, court: Court) -> Rewritten:
    """Runs the model on all regions of a job in one canvas, once more with care if what it wrote would be refused.

    Refused: the new text has errors the old had not.
    """
    before = job.targets.plain
    text, numbers = _filled(job, prompt, session)
    opinion = court.on_edit(job.name, before, text, job.language)
    if court.refuses(opinion) and (careful := session.careful()):
        session.report.note(f"{job.name}: the new text does not parse; {AGAIN}")
        text, numbers = _filled(job, prompt, careful)
        opinion = court.on_edit(job.name, before, text, job.language)
    verdict = court.rule(opinion)
    return Rewritten(job, text, job.source.encode(text), verdict, numbers)


def _filled(job: Job, prompt: str | None, session: Session) -> tuple[str, Numbers]:
    """The text with all regions of a job rewritten, and the figures of the run."""
    from diffucli.tasks.engine import Gap

    text, regions = job.source.text, job.targets.regions
    starts, stops = [0, *(r.stop for r in regions)], [*(r.start for r in regions), len(text)]
    leads = [*(r.lead for r in regions), ""]
    parts = [_plain(text[a:b]) + lead for a, b, lead in zip(starts, stops, leads, strict=True)]
    olds = ["" if job.targets.is_hole(r) else _plain(text[r.start : r.stop]) for r in regions]
    gaps = [Gap(old, r.low, r.high) for old, r in zip(olds, regions, strict=True)]
    run = session.engine.fill(parts, gaps, query=prompt, tag=job.language.tag)
    final, numbers = session.finish(run, language=job.language.name)
    pieces = session.engine.pieces_of(run, final, parts)
    return holes.fill(text, regions, pieces, newline=job.source.newline), numbers


def language_of(text: str, path: Path | None, lang: str | None) -> Language:
    """The language by `lang`, by the file's name or first line, else python. UsageError: a file's name says nothing."""
    if lang:
        return languages.by_name(lang)
    first = text.partition("\n")[0]
    found = languages.of_path(path or "", first)
    if found is None and path is not None:
        raise UsageError(f"{path}: its language is not known", hint="say it with -l")
    return found or languages.by_name("python")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _from_here(name: str) -> str:
    """The real path of a file, relative to the current folder if it lies in it."""
    path, here = os.path.realpath(name), os.path.realpath(os.curdir)
    below = os.path.relpath(path, here) if os.path.commonpath([path, here]) == here else path
    return below.replace(os.sep, "/")
