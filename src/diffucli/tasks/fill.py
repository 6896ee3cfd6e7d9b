"""Filling: regions and holes of a file are written with both sides in view.

If the lengths of all holes are given, all are written on one canvas at once. Otherwise several lengths are tried, one
hole after the other: those before it have their text, those behind it are masks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from diffucli.decode.lanes import side_by_side, watched
from diffucli.edit import holes
from diffucli.tasks import length, prompt
from diffucli.tasks.attempt import Attempt, faults, token_offsets
from diffucli.tasks.context import crop_context
from diffucli.tasks.critics import NewText, depth, warnings_of
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort, Task, check_length, constraints_of, fitted, growing, solve
from diffucli.tasks.jobs import Filled, Job
from diffucli.tasks.race import Race
from diffucli.tasks.verify import Verify, verify_edit
from diffucli.tasks.write import (
    Decode,
    Decoding,
    HoleText,
    RunOutput,
    as_last_canvas,
    canvas_of,
    default_decode,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.length import Size
    from diffucli.tasks.prompt import Layout

DEFAULT_HOLE_TOKENS = 40  # masks of a hole that is not written yet
READ, READ_IN_LONG = 24, 12  # texts of a hole that are read
LONG = 20_000  # characters of a file that takes long to read


def fill(
    checkpoint: Checkpoint,
    job: Job,
    policy: Policy,
    *,
    instruction: str | None = None,
    verify: Verify = "error",
    effort: Effort = DEFAULT_EFFORT,
    decode: Decode = default_decode,
) -> Run[Filled]:
    """Writes all regions of a job. instruction: what the new text should do.

    What lies far from the regions is left out where the canvas would be too long, and a note says so. UsageError: even
    the regions and what stands between them are too long.
    """
    policy = fitted(policy, checkpoint)
    filling = _Filling(checkpoint, job, instruction, verify, decode, policy)
    notes = check_length(checkpoint, filling.longest) or filling.notes
    decoding = filling.decoding(policy, padded=False)
    task = Task("mend" if job.targets.mends else "fill", filling.first, filling.read, decoding)
    return Filled(job, (yield from solve(checkpoint, task, policy, effort, notes)))


@dataclass
class _Filling:
    """How the holes of a job are written with a checkpoint."""

    checkpoint: Checkpoint
    job: Job
    instruction: str | None
    verify: Verify
    decode: Decode
    policy: Policy

    def __post_init__(self) -> None:
        """Finds what does not change from try to try."""
        tokenizer, regions = self.checkpoint.tokenizer, self.job.targets.regions
        parts, self._olds = _parts(self.job)
        self._old_tokens = [len(tokenizer.encode(old)) for old in self._olds]
        family, pads = self.checkpoint.family, self.checkpoint.config.hole_padding
        bounds = [(n, r.low, r.high) for n, r in zip(self._old_tokens, regions, strict=True)]
        self._growing: list[tuple[int, int]] = []
        if family.fim is not None:
            self.sizes = [[length.ended(*each)] for each in bounds]
        elif family.expand is not None:
            grown = [length.growing(*each, most=self.policy.max_length) for each in bounds]
            self.sizes, self._growing = [[size] for size, _ in grown], [limits for _, limits in grown]
        else:
            self.sizes = [length.sizes(*each, pads=pads) for each in bounds]
        self._masks = [max(size.masks for size in sizes) for sizes in self.sizes]
        self._parts, self.notes = crop_context(
            self.checkpoint, parts, masks=sum(self._masks), request=self.instruction, language=self.job.language
        )
        self.longest = len(self._layout(self._masks).tokens)
        if family.fim is not None and len(regions) > 1:
            self.notes = (*self.notes, "this model sees one hole at a time, so they are filled one after the other")
        self._blanks = [
            tokenizer.blanks(behind_blank=part.endswith(" ")) if _is_indent(part) else () for part in self._parts[:-1]
        ]

    def decoding(self, policy: Policy, *, padded: bool, only: int | None = None, grows: bool = False) -> Decoding:
        """How the holes, or hole number `only`, are written. padded: padding may be written. grows: holes may."""
        tokenizer = self.checkpoint.tokenizer
        ends = frozenset({tokenizer.pad}) if padded else frozenset()
        chosen = slice(None) if only is None else slice(only, only + 1)
        found = constraints_of(
            self.checkpoint,
            policy,
            ends=ends,
            forbidden=tokenizer.specials - ends,
            min_tokens=[region.low or 1 for region in self.job.targets.regions][chosen],
        )
        if self._growing and grows:
            found = growing(found, self.checkpoint, policy, self._growing[chosen])
        found = replace(found, not_first=tuple(self._blanks[chosen]))
        return Decoding(self.checkpoint, policy, found, self.decode)

    def first(self, policy: Policy) -> Run[Attempt]:
        """Writes all holes."""
        is_free = self.checkpoint.family.fim is None and not any(r.mend for r in self.job.targets.regions)
        if is_free and all(len(sizes) == 1 for sizes in self.sizes):
            return self.read((yield from self._at_once(policy)))
        outputs: list[RunOutput] = []
        for number, region in enumerate(self.job.targets.regions):
            known = [hole for output in outputs for hole in output.holes]
            if region.mend:
                outputs.append(self._as_it_is(number))
            else:
                outputs.append((yield from self._best_length(number, known, policy)))
        return self.read(self._joined(outputs))

    def read(self, written: RunOutput) -> Attempt:
        """The new text of the file, judged."""
        return self._read(written.holes, written)

    def _at_once(self, policy: Policy) -> Run[RunOutput]:
        """All holes on one canvas, whose lengths are given."""
        padded = any(size.padded for (size,) in self.sizes)
        return (yield from write(self.decoding(policy, padded=padded, grows=True), self._layout(self._masks)))

    def _best_length(self, number: int, known: Sequence[HoleText], policy: Policy) -> Run[RunOutput]:
        """Hole `number` in its best length, behind the `known` texts of the holes in front of it."""
        begun = time.perf_counter()
        tries, looked = yield from self._promising(number, known)
        race = self._race_of(number, known)
        padded, exact = ([each for each in tries if each[0].padded is which] for which in (True, False))
        written = yield from self._side_by_side(number, padded or exact, race, policy, shown=True)
        shown, _ = written[-1]
        assert shown is not None, "what is shown is not given up"
        if padded and exact:  # afterwards, since those with padding tell which lengths can still be the best
            written += yield from self._side_by_side(number, exact, race, policy, shown=False)
        best, seen = race.best or shown, shown.nfe
        if best is not shown:  # its order is that of the text
            (events,) = (events for output, events in written if output is best)
            yield from events
            seen += best.nfe
        nfe = looked + race.nfe
        yield from as_last_canvas(best, self.checkpoint.tokenizer.mask, nfe=max(nfe - seen, 0.0))
        return replace(best, nfe=nfe, seconds=time.perf_counter() - begun)

    def _race_of(self, number: int, known: Sequence[HoleText]) -> Race:
        """A race for hole `number` behind the `known` texts of the holes in front of it."""
        tokenizer = self.checkpoint.tokenizer if self.checkpoint.config.hole_padding else None
        most = READ if len(self.job.source.text) < LONG else READ_IN_LONG
        return Race(partial(self._faults, known), partial(self._breaks, number), tokenizer, most)

    def _side_by_side(
        self, number: int, tries: Sequence[tuple[Size, Layout]], race: Race, policy: Policy, *, shown: bool
    ) -> Run[list[tuple[RunOutput | None, list[Event]]]]:
        """Hole `number` in these sizes, each with its events, or None if it was given up.

        shown: the events of the last one are passed on, and it is not given up.
        """
        told: list[list[Event]] = [[] for _ in tries]
        lanes = []
        for (size, layout), events in zip(tries, told, strict=True):
            decoding = self.decoding(policy, padded=size.padded, only=number, grows=True)
            run = watched(write(decoding, layout), events.append)
            stays = policy.commit.asks == "masks" and not size.padded  # what is committed is part of the text
            lanes.append(race.lane(run, size.masks if stays and not (shown and events is told[-1]) else None))
        outputs = yield from side_by_side(lanes, shown=len(lanes) - 1 if shown else None)
        return list(zip(outputs, told, strict=True))

    def _breaks(self, number: int, output: RunOutput) -> bool:
        """Whether a text goes on in another line although hole `number` stands within one."""
        before, text = self._parts[number], self.checkpoint.tokenizer.decode(output.holes[0].tokens)
        is_within = bool(before[before.rfind("\n") + 1 :].strip()) and "\n" not in self._olds[number]
        return is_within and "\n" in text.strip()

    def _faults(self, known: Sequence[HoleText], output: RunOutput) -> tuple[int, ...] | None:
        """The faults of a hole's text behind the `known` ones; None if it is clean."""
        attempt = self._read([*known, output.holes[0]], output)
        return None if attempt.is_clean else faults(attempt)

    def _promising(self, number: int, known: Sequence[HoleText]) -> Run[tuple[list[tuple[Size, Layout]], float]]:
        """The sizes of hole `number` that are worth writing, with their canvases, and what it cost to find them."""
        tokenizer, sizes = self.checkpoint.tokenizer, self.sizes[number]
        seen = length.looked_at(sizes, pads=self.checkpoint.config.hole_padding)
        layouts = [self._hole_layout(number, known, size.masks) for size in seen]
        canvases = [canvas_of(self.checkpoint, layout) for layout in layouts]
        looks = yield from side_by_side([length.look(each, tokenizer) for each in canvases], shown=None)
        low, old = self.job.targets.regions[number].low or 1, self._old_tokens[number]
        found = {size: look for size, (look, _) in zip(seen, looks, strict=True)}
        chosen = length.promising(sizes, found, low=low, old=old)
        return [(size, self._hole_layout(number, known, size.masks)) for size in chosen], sum(nfe for _, nfe in looks)

    def _joined(self, outputs: Sequence[RunOutput]) -> RunOutput:
        """What several runs wrote, one hole each, as if one had."""
        if len(outputs) == 1 and self.checkpoint.family.fim is not None:
            return outputs[0]
        texts = tuple(hole for output in outputs for hole in output.holes)
        return RunOutput(
            self._layout([len(hole.tokens) for hole in texts]),
            texts,
            masks=sum(output.masks for output in outputs),
            masks_left=sum(output.masks_left for output in outputs),
            nfe=sum(output.nfe for output in outputs),
            seconds=sum(output.seconds for output in outputs),
        )

    def _as_it_is(self, number: int) -> RunOutput:
        """The old text of a region, which is only to be mended."""
        tokens = tuple(self.checkpoint.tokenizer.encode(prompt.inside(self._parts[number], self._olds[number])))
        layout = self._layout(self._masks)
        return RunOutput(layout, (HoleText(tokens, (0.0,) * len(tokens)),), 0, 0, nfe=0.0, seconds=0.0)

    def _read(self, texts: Sequence[HoleText], written: RunOutput) -> Attempt:
        """The text of the file with the first holes filled, and names in the others."""
        tokenizer, source, language = self.checkpoint.tokenizer, self.job.source, self.job.language
        regions = self.job.targets.regions[: len(texts)]
        contents = [tokenizer.decode(hole.tokens) for hole in texts]
        pieces = tuple(
            _without_tail(prompt.outside(part, content), behind)
            for part, content, behind in zip(self._parts, contents, self._parts[1:], strict=False)
        )
        plain = self.job.targets.plain
        base = source.text if len(regions) == len(self.job.targets.regions) else plain
        text = holes.fill(base, regions, pieces, newline=source.newline)
        check = verify_edit(self.job.name, self.job.targets, text, language, self.verify)
        new: list[NewText] = []
        offsets, moved = [], 0
        for region, part, piece, content, hole in zip(regions, self._parts, pieces, contents, texts, strict=False):
            start = region.start + moved + len(_with_newline(region.lead, source.newline))
            stop = start + len(_with_newline(piece, source.newline))
            new.append(NewText(start, stop, self._olds[len(new)]))
            first = start - len(content) + len(prompt.outside(part, content))
            offsets.append(token_offsets(tokenizer, hole.tokens, start=first, newline=source.newline))
            moved += stop - region.start - moved - (region.stop - region.start)
        warnings = () if check.faults or self.verify == "off" else warnings_of(plain, text, new, language)
        ended = all(hole.ended for hole in texts)
        return Attempt(text, pieces, ended, check, written, warnings, tuple(offsets), depth(text, language, check))

    def _hole_layout(self, number: int, known: Sequence[HoleText], masks: int) -> Layout:
        """A canvas on which hole `number` has `masks` masks; those before it are `known`, those behind are masks."""
        if self.checkpoint.family.fim is not None:
            return self._middle(number, known, masks)
        behind = len(self.sizes) - number - 1
        layout = self._layout([*(len(hole.tokens) for hole in known), masks, *[DEFAULT_HOLE_TOKENS] * behind])
        tokens = list(layout.tokens)
        for span, hole in zip(layout.holes, known, strict=False):
            tokens[span.start : span.stop] = hole.tokens
        return replace(layout, tokens=tuple(tokens), holes=(layout.holes[number],))

    def _middle(self, number: int, known: Sequence[HoleText], masks: int) -> Layout:
        """A canvas with hole `number` at its end, behind the text around it; holes behind it have their old text."""
        tokenizer, tokens = self.checkpoint.tokenizer, list[int]()
        for part, hole in zip(self._parts, known, strict=False):
            tokens += [*tokenizer.encode(part.removesuffix(" ")), *hole.tokens]
        tokens += tokenizer.encode(self._parts[number].removesuffix(" "))
        behind = zip(self._parts[number + 1 :], [*self._olds[number + 1 :], ""], strict=True)
        after = "".join(part + old for part, old in behind)
        return prompt.middle(tokenizer, tokens, after, masks, request=self.instruction, language=self.job.language)

    def _layout(self, masks: Sequence[int]) -> Layout:
        return prompt.file(
            self.checkpoint.tokenizer, self._parts, masks, request=self.instruction, language=self.job.language
        )


def _parts(job: Job) -> tuple[list[str], list[str]]:
    """The text between the regions of a job, and the old text of each; a hole has none."""
    text, regions = job.source.text, job.targets.regions
    starts, stops = [0, *(region.stop for region in regions)], [*(region.start for region in regions), len(text)]
    leads = [*(region.lead for region in regions), ""]
    parts = [_with_lf(text[a:b]) + lead for a, b, lead in zip(starts, stops, leads, strict=True)]
    olds = ["" if job.targets.is_hole(r) else _with_lf(text[r.start : r.stop]) for r in regions]
    return parts, olds


def _without_tail(piece: str, behind: str) -> str:
    """The text of a hole without the white space at its end, unless that parts it from what follows on its line."""
    return piece if behind[:1].strip() else piece.rstrip()


def _is_indent(part: str) -> bool:
    """Whether a text ends with the indentation of a line that goes on behind it."""
    line = part[part.rfind("\n") + 1 :]
    return bool(line) and not line.strip()


def _with_newline(text: str, newline: str) -> str:
    return text.replace("\n", newline)


def _with_lf(text: str) -> str:
    return text.replace("\r\n", "\n")
