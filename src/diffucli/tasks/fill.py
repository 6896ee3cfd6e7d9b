"""Filling: regions and holes of a file are written with both sides in view, all of them on one canvas."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffucli.edit import holes, patch
from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.tasks import prompt, targets
from diffucli.tasks.engine import (
    Attempt,
    Decode,
    Result,
    attempt_and_retry,
    check_length,
    constraints_of,
    default_decode,
    write,
)
from diffucli.tasks.verify import Verify, verify_edit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.edit.source import Source
    from diffucli.model.load import Checkpoint
    from diffucli.syntax.languages import Language
    from diffucli.tasks.targets import Targets

DEFAULT_HOLE_TOKENS = 40
EXTRA_MASKS = 16  # a region of a checkpoint that pads gets at least so many masks more than its old text had tokens
LINES = re.compile(r"[^\n]*\n|[^\n]+")  # with their ends; str.splitlines knows ends that no editor counts


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fill in files. regions: as `-r` has them. all_holes: `???` counts even where it is legal code.

    language: by its name; None: by the file's. length: bounds on the tokens of regions and holes that name none.
    lenient: a file may have nothing to fill. own: regions of single files.
    """

    regions: tuple[str, ...] = ()
    all_holes: bool = False
    language: str | None = None
    length: tuple[int, int] | None = None
    lenient: bool = False
    own: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A file as it was read, its name in messages, its language, and what to fill in it."""

    source: Source
    name: str
    language: Language
    targets: Targets


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

    def diff(self) -> bytes:
        """A patch for `git apply` in the current folder; it changes the file that a symlink leads to."""
        return patch.unified_diff(self.job.source, self.new, name=_relative(self.job.name))


def jobs_of(sources: Iterable[tuple[Source, Path | None]], wanted: Wanted) -> list[Job]:
    """The jobs of sources with their names (None: stdin) that have something to fill. UsageError: none has."""
    jobs = [_job(source, path, wanted) for source, path in sources]
    found = [job for job in jobs if job.targets.regions]
    if not found:
        raise UsageError(f"none of the {len(jobs)} files holds what to fill", hint="see diffu fill --help for -r")
    return found


def _job(source: Source, path: Path | None, wanted: Wanted) -> Job:
    name, language = str(path or "<stdin>"), languages.detect(source.text, path, wanted.language)
    regions = wanted.regions + (wanted.own.get(path, ()) if path else ())
    try:
        found = targets.find(source.text, language, regions, all_holes=wanted.all_holes, lenient=wanted.lenient)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error
    return Job(source, name, language, found.bounded(wanted.length) if wanted.length else found)


def fill(
    checkpoint: Checkpoint,
    job: Job,
    policy: Policy,
    *,
    instruction: str | None = None,
    verify: Verify = "error",
    decode: Decode = default_decode,
) -> Run[Filled]:
    """Writes all regions of a job. instruction: what the new text should do.

    What lies far from the regions is left out where the canvas would be too long, and a note says so. UsageError: even
    the regions and what stands between them are too long.
    """
    tokenizer, regions = checkpoint.tokenizer, job.targets.regions
    parts, olds = _parts(job)
    sizes = [hole_length(checkpoint, old, r.low, r.high) for old, r in zip(olds, regions, strict=True)]
    cropped, notes = crop_context(checkpoint, parts, masks=sum(sizes), request=instruction, language=job.language)
    layout = prompt.file(tokenizer, cropped, sizes, request=instruction, language=job.language)
    notes = check_length(checkpoint, len(layout.tokens)) or notes
    ends = frozenset({tokenizer.pad}) if checkpoint.config.hole_padding else frozenset()
    min_tokens = [region.low or 1 for region in regions]

    def attempt(policy: Policy) -> Run[Attempt]:
        constraints = constraints_of(
            checkpoint, policy, ends=ends, forbidden=tokenizer.specials - ends, min_tokens=min_tokens
        )
        written = yield from write(checkpoint, layout, constraints, policy, decode)
        contents = map(tokenizer.decode, written.holes)
        pieces = tuple(prompt.outside(part, text).rstrip() for part, text in zip(parts, contents, strict=False))
        text = holes.fill(job.source.text, regions, pieces, newline=job.source.newline)
        check = verify_edit(job.name, job.targets.plain, text, job.language, verify)
        return Attempt(text, pieces, all(written.ended), check, written)

    result = yield from attempt_and_retry(checkpoint, attempt, policy, notes)
    return Filled(job, result)


def _parts(job: Job) -> tuple[list[str], list[str]]:
    """The text between the regions of a job, and the old text of each; a hole has none."""
    text, regions = job.source.text, job.targets.regions
    starts, stops = [0, *(region.stop for region in regions)], [*(region.start for region in regions), len(text)]
    leads = [*(region.lead for region in regions), ""]
    parts = [_with_lf(text[a:b]) + lead for a, b, lead in zip(starts, stops, leads, strict=True)]
    olds = ["" if job.targets.is_hole(r) else _with_lf(text[r.start : r.stop]) for r in regions]
    return parts, olds


def hole_length(checkpoint: Checkpoint, old: str, low: int | None, high: int | None) -> int:
    """The masks of a hole: within the bounds, else by the old text, with more where the checkpoint pads."""
    padded = checkpoint.config.hole_padding
    if high is not None:
        low = low or 1
        return high if padded or low == high else (low + high) // 2
    tokens = len(checkpoint.tokenizer.encode(old))
    if not tokens:
        return DEFAULT_HOLE_TOKENS
    return tokens + max(EXTRA_MASKS, tokens // 2) if padded else tokens


def crop_context(
    checkpoint: Checkpoint, parts: Sequence[str], *, masks: int, request: str | None, language: Language
) -> tuple[list[str], tuple[str, ...]]:
    """`parts` with as many lines before the first hole and behind the last as the checkpoint's length allows.

    Also a note on the lines that are left out.
    """
    encode = checkpoint.tokenizer.encode
    between = sum(len(encode(part)) for part in parts[1:-1])
    framing = len(prompt.opening(checkpoint.tokenizer, request, language))
    framing += len(prompt.closing(checkpoint.tokenizer, request))
    room = max(checkpoint.config.context - masks - between - framing, 0)
    before, after = LINES.findall(parts[0])[::-1], LINES.findall(parts[-1])
    head = _fitting(encode, before, room * 2 // 3)
    tail = _fitting(encode, after, room - sum(len(encode(line)) for line in head))
    head = _fitting(encode, before, room - sum(len(encode(line)) for line in tail))
    notes = _left_out(len(before) - len(head), len(after) - len(tail))
    return ["".join(head[::-1]), *parts[1:-1], "".join(tail)], notes


def _left_out(above: int, below: int) -> tuple[str, ...]:
    """A note on the first `above` and the last `below` lines of a file, which are not on the canvas."""
    ends = [f"the {end} {count}" for end, count in (("first", above), ("last", below)) if count]
    return (f"{' and '.join(ends)} lines far from the regions were left out of the model's view",) if ends else ()


def _fitting(encode: prompt.Encode, lines: Sequence[str], room: int) -> list[str]:
    """The first of `lines` that fit into `room` tokens together; at least the first, which touches a hole."""
    fitting: list[str] = []
    for line in lines:
        room -= len(encode(line))
        if room < 0 and fitting:
            break
        fitting.append(line)
    return fitting


def _with_lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _relative(name: str) -> str:
    """The real path of a file, relative to the current folder if it lies in it."""
    path, here = os.path.realpath(name), os.path.realpath(os.curdir)
    below = os.path.relpath(path, here) if os.path.commonpath([path, here]) == here else path
    return below.replace(os.sep, "/")
