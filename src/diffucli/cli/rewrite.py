"""One file's way through `diffu fill`: regions and holes, a run, the new text, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.cli import streams
from diffucli.cli.outcome import refuse, save, save_new
from diffucli.cli.report import run_values
from diffucli.edit import holes, patch, source
from diffucli.edit.region import Region, arrange, parse
from diffucli.errors import UsageError
from diffucli.syntax import languages, symbols
from diffucli.syntax.check import Verdict, check, new_problems

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from diffucli.cli.report import Numbers, Report
    from diffucli.cli.session import Session
    from diffucli.edit.source import Source
    from diffucli.syntax.languages import Language

NEUTRAL = "_"  # stands for a hole when the text before is checked


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to rewrite. specs: the forms of -r. holes: ??? counts even where it is legal code."""

    specs: tuple[str, ...]
    prompt: str | None
    holes: bool
    lang: str | None
    verified: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A file as read, its language, and the regions to rewrite in it, holes included. name: to show."""

    source: Source
    name: str
    language: Language
    regions: tuple[Region, ...]

    @classmethod
    def read(cls, path: Path, _: Path | None, wanted: Wanted) -> Job:
        """The job of the file at `path`. Raises UsageError."""
        return cls._of(source.read(path), path, wanted)

    @classmethod
    def of_stdin(cls, raw: bytes, name: Path | None, wanted: Wanted) -> Job:
        """The job of stdin, called `name`. Raises UsageError."""
        return cls._of(source.from_bytes(raw, None), name, wanted)

    @classmethod
    def _of(cls, read: Source, path: Path | None, wanted: Wanted) -> Job:
        language = language_of(read.text, path, wanted.lang)
        name = str(path) if path else "<stdin>"
        return cls(read, name, language, find_regions(read.text, language, wanted, name))


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A job done: the new text and what the parser says of it."""

    job: Job
    text: str
    verdict: Verdict
    numbers: Numbers

    def deliver(self, report: Report, *, write: bool, diff: bool, check: bool, output: Path | None) -> bool:
        """Writes or prints the result as asked; whether it differs from what was read."""
        read = self.job.source
        new = read.encode(self.text)
        undo = save(read, new) if write else save_new(output, new) if output else None
        patched = patch.unified_diff(read, new, name=self.job.name) if diff else b""
        if report.json:
            shown = {"diff": patched.decode("utf-8", "replace")} if diff else {"text": self.text}
            values = run_values(self.numbers, self.verdict)
            report.object("diffu.run/1", 0, file=self.job.name, undo=undo, **shown, **values)
        elif diff:
            streams.put(patched)
        elif not (write or check or output):
            streams.put(new)
        report.numbers(self.numbers, self.verdict)
        return new != read.raw


def rewrite(job: Job, wanted: Wanted, session: Session) -> Rewritten:
    """Runs the model on all regions of a job in one canvas. Unparsable: the new text has errors the old had not."""
    from diffucli.engine import Gap

    text, regions = job.source.text, job.regions
    starts, stops = [0, *(r.stop for r in regions)], [*(r.start for r in regions), len(text)]
    leads = [*(r.lead for r in regions), ""]
    parts = [_plain(text[a:b]) + lead for a, b, lead in zip(starts, stops, leads, strict=True)]
    gaps = [Gap("" if _is_hole(text, r) else _plain(text[r.start : r.stop]), r.low, r.high) for r in regions]
    run = session.engine.fill(parts, gaps, query=wanted.prompt, tag=job.language.tag)
    final, numbers = session.finish(run, language=job.language.name)
    new = holes.fill(text, regions, session.engine.pieces_of(run, final, parts), newline=job.source.newline)
    verdict = _judge(job, new) if wanted.verified else Verdict(known=False, note="not checked")
    if wanted.strict and verdict.problems:
        raise refuse(
            job.name, new, verdict, hint="try --temp 0.4 with another --seed, another region, or --verify warn"
        )
    return Rewritten(job, new, verdict, numbers)


def language_of(text: str, path: Path | None, lang: str | None) -> Language:
    """The language by `lang`, by the file's name or first line, else python. UsageError: a file's name says nothing."""
    if lang:
        return languages.by_name(lang)
    first = text.partition("\n")[0]
    found = languages.of_path(path or "", first)
    if found is None and path is not None:
        raise UsageError(f"the language of {path} is not known", hint="say it with -l")
    return found or languages.by_name("python")


def find_regions(text: str, language: Language, wanted: Wanted, name: str) -> tuple[Region, ...]:
    """What `wanted` names in `text`; a hole inside a region is part of it. UsageError: nothing to fill."""

    def symbol(spec: str) -> tuple[int, int]:
        found = symbols.find(text, language, spec)
        return found.start, found.stop

    named = parse(wanted.specs, text, find_symbol=symbol, find_errors=lambda whole: _broken(whole, language))
    seen = holes.find(text) if wanted.holes or not language.hole_is_legal else ()
    free = [hole for hole in seen if not any(r.start <= hole.start and hole.stop <= r.stop for r in named)]
    if not named and not free:
        raise UsageError(f"{name} holds no ??? and no region is named", hint="name one, such as -r 10:40")
    return arrange([*named, *free])


def _broken(text: str, language: Language) -> Iterable[Region]:
    """The lines that do not parse."""
    lines = sorted({problem.line for problem in check(text, language).problems})
    return parse([str(line) for line in lines], text, find_symbol=lambda _: (0, 0))


def _judge(job: Job, new: str) -> Verdict:
    """What is wrong with `new` that was not wrong before; a hole is no error of what was there before."""
    text = job.source.text
    found = [region for region in job.regions if _is_hole(text, region)]
    before = holes.fill(text, found, [NEUTRAL] * len(found), newline=job.source.newline)
    return new_problems(before, new, job.language)


def _is_hole(text: str, region: Region) -> bool:
    return text.startswith("???", region.start) and not text[region.start + 3 : region.stop].strip("0123456789-")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")
