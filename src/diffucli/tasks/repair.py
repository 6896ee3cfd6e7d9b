"""Repair: only the tokens around what a critic found are written again, and masks are inserted where one may lack.

Everything else of the text stays. A version replaces the one before it only if the critics find less in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.decode.canvas import Canvas
from diffucli.decode.lanes import side_by_side
from diffucli.events import Resized, Started, Stepped
from diffucli.tasks.attempt import faults
from diffucli.tasks.write import HoleText, composed, write_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.decode.loop import Run
    from diffucli.events import Event
    from diffucli.syntax.check import Diagnostic
    from diffucli.tasks.attempt import Attempt
    from diffucli.tasks.write import Decoding, RunOutput

INSERTED = (2, 3)  # masks that are put where more than one token may lack
MOST_EDITS = 64  # edits that are tried in a round
MOST_PLACES = 16  # in a line, at which one token is inserted, replaced or deleted
MOST_ROUNDS = 12  # of a text with many errors, each of which takes a round
LOSS = 1.0  # nats for each old token that an edit does not write again
NEAR = 4  # tokens on both sides of a fault among which the least confident one is looked for


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a hole: its tokens `start` … `stop` (half-open) give way to `masks` masks, which are written.

    hole: its index. other: the first of the tokens must not come back.
    """

    hole: int
    start: int
    stop: int
    masks: int
    other: bool = False


def repaired(
    decoding: Decoding, attempt: Attempt, read: Callable[[RunOutput], Attempt], *, rounds: int
) -> Run[list[Attempt]]:
    """`attempt` and what each round of repair made of it; a clean attempt stays alone. The best may be any of them.

    rounds: how many may go by without progress; each of these looks further around the faults.
    """
    versions, best, failed = [attempt], attempt, 0
    while failed < rounds and not best.is_clean and len(versions) <= MOST_ROUNDS:
        edits = edits_of(best, width=failed)
        if not edits:
            break
        outputs = yield from side_by_side([_try(decoding, best.written, edit) for edit in edits])
        read_all = [(read(output), edit) for output, edit in zip(outputs, edits, strict=True)]
        found, _ = min(read_all, key=lambda pair: (faults(pair[0]), _cost(best, *pair)))
        nfe = sum(output.nfe for output in outputs)
        found = replace(found, written=replace(found.written, nfe=nfe), rounds=len(versions))
        versions.append(found)
        if faults(found) < faults(best):
            best, failed = found, 0
        else:
            failed += 1 if best.check.faults else rounds  # a warning is worth one round
    return versions


def _cost(before: Attempt, after: Attempt, edit: Edit) -> float:
    """How improbable an edit is (nats): the mean of what it wrote, and a price for each token that was lost."""
    new = after.written.holes[edit.hole]
    tokens, logprobs = (
        new.tokens[edit.start : edit.start + edit.masks],
        new.logprobs[edit.start : edit.start + edit.masks],
    )
    lost = Counter(before.written.holes[edit.hole].tokens[edit.start : edit.stop]) - Counter(tokens)
    return LOSS * lost.total() - sum(logprobs) / max(len(tokens), 1)


def _try(decoding: Decoding, before: RunOutput, edit: Edit) -> Run[RunOutput]:
    """What becomes of a text by an edit."""
    layout = composed(before.layout, before.holes)
    canvas = Canvas(layout.tokens, layout.holes, mask=decoding.checkpoint.tokenizer.mask, written=True)
    hole, old = layout.holes[edit.hole], before.holes[edit.hole]
    shown = (layout.shown.start, layout.shown.stop)
    started = Started(layout.tokens, canvas.mask, canvas.spans, shown)
    place = hole.start + edit.start
    events = [started, *_applied(canvas, place, edit.stop - edit.start, edit.masks)]
    if edit.other:
        banned = ((place, old.tokens[edit.start]),)
        decoding = replace(decoding, constraints=replace(decoding.constraints, banned=banned))
    output = yield from write_on(decoding, layout, canvas, events)
    new = output.holes[edit.hole]
    fresh = new.logprobs[edit.start : edit.start + edit.masks]
    logprobs = (*old.logprobs[: edit.start], *fresh, *old.logprobs[edit.stop :])
    holes = [replace(kept, tokens=got.tokens) for kept, got in zip(before.holes, output.holes, strict=True)]
    holes[edit.hole] = HoleText(new.tokens, logprobs, old.ended)
    return replace(output, layout=before.layout, holes=tuple(holes), masks=before.masks)


def _applied(canvas: Canvas, place: int, taken: int, masks: int) -> Iterator[Event]:
    """Puts `masks` masks in the place of `taken` tokens; the events that tell it."""
    again = tuple(range(place, place + min(taken, masks)))
    canvas.remask(again)
    yield Stepped(0, (), (), (), (place, place), canvas.masks_left, 0.0, 0.0, again)
    if masks > taken:
        canvas.insert(place + taken, masks - taken)
        yield Resized(place + taken, masks - taken, canvas.spans, canvas.masks_left)
    elif masks < taken:
        canvas.delete(place + masks, taken - masks)
        yield Resized(place + masks, masks - taken, canvas.spans, canvas.masks_left)


def edits_of(attempt: Attempt, *, width: int) -> list[Edit]:
    """The edits that may mend what the critics found, the likeliest first; `width` more tokens on each side."""
    found = [
        edit
        for diagnostic in attempt.diagnostics[:3]
        for edit in (
            _edits_of_error(attempt, diagnostic, width)
            if diagnostic in attempt.check.diagnostics
            else _edits_of_warning(attempt, diagnostic, width)
        )
    ]
    sizes = [len(hole.tokens) for hole in attempt.written.holes]
    fitting = (edit for edit in found if 0 <= edit.start <= edit.stop <= sizes[edit.hole])
    real = (edit for edit in fitting if edit.masks > 0 or 0 < edit.stop - edit.start < sizes[edit.hole])
    return list(dict.fromkeys(real))[:MOST_EDITS]


def _edits_of_error(attempt: Attempt, diagnostic: Diagnostic, width: int) -> Iterator[Edit]:
    """Something lacks, is too much, or is wrong: at the place of a syntax error or at the end of its line or the last.

    A vocabulary joins brackets, colons and line ends to one token, so a missing one is often a wrong token.
    """
    hole, at = _token(attempt, diagnostic.start)
    end, before = (_token(attempt, offset)[1] for offset in _line(attempt.text, diagnostic.start))
    places = list(dict.fromkeys((at, _index(attempt, hole, diagnostic.stop), end, end - 1, at + 1, before)))
    wrong = list(dict.fromkeys((at, end, before, at - 1)))
    first, last = _line_tokens(attempt, diagnostic, hole)
    if width:
        near = sorted(range(first, last + 1), key=lambda index: abs(index - at))
        places, wrong = list(dict.fromkeys([*places, *near])), list(dict.fromkeys([*wrong, *near]))
    yield from (Edit(hole, place, place, 1) for place in places[:MOST_PLACES])
    yield from (Edit(hole, place, place + 1, 1, other=True) for place in wrong[:MOST_PLACES])
    yield from (Edit(hole, place, place + 1, 0) for place in wrong[:MOST_PLACES])
    if "indent" in diagnostic.message:
        yield from _edits_of_indentation(attempt, diagnostic, hole)
    if width == 1:
        yield Edit(hole, first, last, last - first)  # the line as a whole
    elif width:
        yield from (Edit(hole, place, place + 1, 2, other=True) for place in wrong[:4])
        yield from (Edit(hole, place, place, masks) for masks in INSERTED for place in places[:4])
        weakest = _least_confident(attempt, hole, at)
        low, high = min(weakest, at - width), max(weakest, at + width) + 1
        yield from (Edit(hole, low, high, high - low + more) for more in (0, 1))
        first, last = max(first - NEAR * (width - 1), 0), last + NEAR * (width - 1)
        yield from (Edit(hole, first, last, last - first + more) for more in (0, 2))


def _line_tokens(attempt: Attempt, diagnostic: Diagnostic, hole: int) -> tuple[int, int]:
    """The tokens of the line with the error, half-open, as indexes."""
    end, before = _line(attempt.text, diagnostic.start)
    return _index(attempt, hole, before + 1), _index(attempt, hole, end)


def _line(text: str, offset: int) -> tuple[int, int]:
    """The offsets of the ends of the line at `offset` and of the line before it."""
    end, before = text.find("\n", offset), text.rfind("\n", 0, offset)
    return (len(text) if end < 0 else end), max(before, 0)


def _edits_of_indentation(attempt: Attempt, diagnostic: Diagnostic, hole: int) -> Iterator[Edit]:
    """The indentation of the line, or of the one before, is another one."""
    text = attempt.text
    start = text.rfind("\n", 0, diagnostic.start + 1)
    for line in (start, text.rfind("\n", 0, max(start, 0))):
        if line < 0:
            continue
        code = line + 1 + len(text[line + 1 :]) - len(text[line + 1 :].lstrip(" \t"))
        first, last = _index(attempt, hole, line), _index(attempt, hole, code)
        for begin in (first, first + 1):
            yield from (Edit(hole, begin, last, masks, other=last > begin) for masks in (last - begin, 1, 2))


def _edits_of_warning(attempt: Attempt, diagnostic: Diagnostic, width: int) -> Iterator[Edit]:
    """Something else is written in the place of what a critic warned of, or nothing."""
    hole, first = _token(attempt, diagnostic.start)
    last = _index(attempt, hole, diagnostic.stop - 1) + 1
    first, last = first - width, last + width
    yield Edit(hole, first, last, last - first, other=True)
    if not diagnostic.message.startswith("undefined"):
        yield Edit(hole, first, last, 0)


def _least_confident(attempt: Attempt, hole: int, at: int) -> int:
    """The index of the least probable token near `at`."""
    logprobs = attempt.written.holes[hole].logprobs
    near = range(max(at - NEAR, 0), min(at + NEAR + 1, len(logprobs)))
    return min(near, key=lambda index: logprobs[index], default=at)


def _token(attempt: Attempt, offset: int) -> tuple[int, int]:
    """The hole and the index of the token that holds the character at `offset`, or of the nearest one."""

    def distance(hole: int) -> int:
        offsets = attempt.offsets[hole]
        return max(offsets[0] - offset, offset - offsets[-1], 0)

    hole = min(range(len(attempt.offsets)), key=distance)
    return hole, _index(attempt, hole, offset)


def _index(attempt: Attempt, hole: int, offset: int) -> int:
    """The index of the token of a hole that holds the character at `offset`; that of its end if it lies behind."""
    offsets: Sequence[int] = attempt.offsets[hole]
    return min(max(bisect_right(offsets, offset) - 1, 0), len(offsets) - 1)
