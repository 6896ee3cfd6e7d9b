"""Repair: only the tokens around what a critic found are written again, and masks are inserted where one may lack.

Everything else of the text stays. A version replaces the one before it only if the critics find less in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.lanes import side_by_side
from diffucli.decode.loop import ask
from diffucli.events import Finished, Resized, Started, Stepped
from diffucli.syntax.indentation import is_about_indentation, reindented
from diffucli.tasks.attempt import faults
from diffucli.tasks.write import HoleText, canvas_of, composed, write_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Constraints
    from diffucli.events import Event
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.syntax.check import Diagnostic
    from diffucli.syntax.indentation import Rewrite
    from diffucli.tasks.attempt import Attempt
    from diffucli.tasks.write import Decode, Decoding, RunOutput

INSERTED = (2, 3)  # masks that are put where more than one token may lack
MOST_EDITS = 64  # edits that are tried in a round
MOST_PLACES = 16  # in a line, at which one token is inserted, replaced or deleted
MOST_ROUNDS = 12  # of a text with many errors, each of which takes a round
LOSS = 1.0  # nats for each old token that an edit does not write again
TOUCHED = 0.02  # nats for each token of a given change, old or new: a small one is likelier
KEPT = 2  # tokens at the end of a line of which some may stay when that end is written again
TAILS = (1, 2, 3, 4, 6, 8, 12, 16)  # masks for the end of a line
NEAR = 4  # tokens on both sides of a fault among which the least confident one is looked for


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a hole: its tokens `start` … `stop` (half-open) give way to `masks` masks, which are written.

    hole: its index. other: the first of the tokens must not come back. given: the tokens that the masks become, if they
    are known; the network only judges them.
    """

    hole: int
    start: int
    stop: int
    masks: int
    other: bool = False
    given: tuple[int, ...] = ()


def repaired(
    decoding: Decoding,
    attempt: Attempt,
    read: Callable[[RunOutput], Attempt],
    *,
    rounds: int,
    thorough: bool = False,
) -> Run[list[Attempt]]:
    """`attempt` and what each round of repair made of it; a clean attempt stays alone. The best may be any of them.

    rounds: how many may go by without progress; each of these looks further around the faults. thorough: where no small
    edit is enough, the end of the line with the error is written again, which takes many more forwards.
    """
    versions, best, failed = [attempt], attempt, 0
    while failed < rounds and not best.is_clean and len(versions) <= MOST_ROUNDS:
        edits = edits_of(best, decoding.checkpoint.tokenizer, width=failed)
        tried = yield from _tried(decoding, best.written, edits, read)
        if thorough and not any(after.is_clean for after, _ in tried):
            tried += yield from _tried(decoding, best.written, tails_of(best), read)
        if thorough:
            tried = [(after, edit) for after, edit in tried if after.is_clean or not _joins_lines(best, after)]
        if not tried:
            break
        found, _ = min(tried, key=lambda pair: (faults(pair[0]), _cost(best, *pair)))
        nfe = sum(after.written.nfe for after, _ in tried)
        found = replace(found, written=replace(found.written, nfe=nfe), rounds=len(versions))
        versions.append(found)
        if faults(found) < faults(best):
            best, failed = found, 0
        else:
            failed += 1 if best.check.faults else rounds  # a warning is worth one round
    return versions


def _joins_lines(before: Attempt, after: Attempt) -> bool:
    """Whether a text has fewer lines: two broken lines that became one have one error less, and are no better."""
    return after.text.count("\n") < before.text.count("\n")


def _tried(
    decoding: Decoding, before: RunOutput, edits: Sequence[Edit], read: Callable[[RunOutput], Attempt]
) -> Run[list[tuple[Attempt, Edit]]]:
    """What becomes of a text by each of `edits`."""
    outputs = yield from side_by_side([_try(decoding, before, edit) for edit in edits])
    return [(read(output), edit) for output, edit in zip(outputs, edits, strict=True)]


def _cost(before: Attempt, after: Attempt, edit: Edit) -> float:
    """How improbable an edit is (nats): the mean of what it wrote, and a price for each token that was lost."""
    new = after.written.holes[edit.hole]
    written = slice(edit.start, edit.start + edit.masks)
    tokens, logprobs = new.tokens[written], new.logprobs[written]
    if edit.given:
        touched = edit.stop - edit.start + edit.masks
        return TOUCHED * touched - sum(logprobs) / max(sum(map(bool, logprobs)), 1)
    lost = Counter(before.written.holes[edit.hole].tokens[edit.start : edit.stop]) - Counter(tokens)
    return LOSS * lost.total() - sum(logprobs) / max(len(tokens), 1)


def _try(decoding: Decoding, before: RunOutput, edit: Edit) -> Run[RunOutput]:
    """What becomes of a text by an edit."""
    layout = composed(before.layout, before.holes)
    canvas = canvas_of(decoding.checkpoint, layout, written=True)
    hole, old = layout.holes[edit.hole], before.holes[edit.hole]
    shown = (layout.shown.start, layout.shown.stop)
    started = Started(layout.tokens, canvas.mask, canvas.spans, shown)
    place = hole.start + edit.start
    events = [started, *_applied(canvas, place, edit.stop - edit.start, edit.masks)]
    if edit.other:
        banned = ((place, old.tokens[edit.start]),)
        decoding = replace(decoding, constraints=replace(decoding.constraints, banned=banned))
    if edit.given:
        decoding = replace(decoding, decode=_dictated(edit.given, old.tokens[edit.start : edit.stop]))
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


def _dictated(given: Sequence[int], old: Sequence[int]) -> Decode:
    """Writes the tokens `given`. The network only says how probable those are that differ from the `old` ones."""
    changes = SequenceMatcher(None, old, given, autojunk=False).get_opcodes()
    new = [i for kind, _, _, start, stop in changes if kind != "equal" for i in range(start, stop)]

    def decode(canvas: Canvas, _: Policy, __: Constraints) -> Run[Finished]:
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        places: list[int] = canvas.open_masks(Span(0, len(canvas))).tolist()
        canvas.commit(places, given)
        nfe, logprobs = 0.0, [0.0] * len(given)
        if new:
            found, nfe = yield from ask(canvas.tokens, [places[i] for i in new], canvas.mask)
            for row, i in enumerate(new):
                logprobs[i] = float(found[row, given[i]])
        window, written = (places[0], places[-1] + 1), tuple(logprobs)
        yield Stepped(1, tuple(places), tuple(given), written, window, canvas.masks_left, nfe, 0.0, (), written)
        yield (finished := Finished(tuple(canvas.tokens.tolist()), "complete", nfe, 0.0, canvas.spans))
        return finished

    return decode


def edits_of(attempt: Attempt, tokenizer: Tokenizer, *, width: int) -> list[Edit]:
    """The edits that may mend what the critics found, the likeliest first; `width` more tokens on each side."""
    found = [
        edit
        for diagnostic in attempt.diagnostics[:3]
        for edit in (
            _edits_of_error(attempt, tokenizer, diagnostic, width)
            if diagnostic in attempt.check.diagnostics
            else _edits_of_warning(attempt, diagnostic, width)
        )
    ]
    sizes = [len(hole.tokens) for hole in attempt.written.holes]
    fitting = (edit for edit in found if 0 <= edit.start <= edit.stop <= sizes[edit.hole])
    real = (edit for edit in fitting if edit.masks > 0 or 0 < edit.stop - edit.start < sizes[edit.hole])
    return list(dict.fromkeys(real))[:MOST_EDITS]


def tails_of(attempt: Attempt) -> list[Edit]:
    """The edits that write the end of the line with the first syntax error again, in several lengths."""
    if not attempt.check.diagnostics:
        return []
    text, at = attempt.text, attempt.check.diagnostics[0].start
    line = text.rfind("\n", 0, at) + 1
    if not text[line:at].strip():
        line = text.rfind("\n", 0, len(text[:line].rstrip())) + 1
    end = text.find("\n", line)
    hole, stop = _token(attempt, len(text) if end < 0 else end)
    first = _index(attempt, hole, line)
    size = len(attempt.written.holes[hole].tokens)
    starts = range(stop, max(stop - KEPT, first) - 1, -1)
    edits = (Edit(hole, start, min(stop + 1, size), masks) for start in starts for masks in TAILS)
    return [edit for edit in edits if edit.start <= edit.stop]


def _edits_of_error(attempt: Attempt, tokenizer: Tokenizer, diagnostic: Diagnostic, width: int) -> Iterator[Edit]:
    """Something lacks, is too much, or is wrong: at the place of a syntax error or at the end of its line or the last.

    A vocabulary joins brackets, colons and line ends to one token, so a missing one is often a wrong token.
    """
    if is_about_indentation(diagnostic.message):
        moved = (_rewriting(attempt, tokenizer, each) for each in reindented(attempt.text, diagnostic.start))
        found = [edit for edit in moved if edit is not None]
        yield from found
        if found and not width:
            return
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


def _rewriting(attempt: Attempt, tokenizer: Tokenizer, rewrite: Rewrite) -> Edit | None:
    """The edit that makes a change of the text; None if that does not lie in one hole.

    The tokens next to it are encoded again as well, since a blank belongs to the word behind it.
    """
    hole, first = _token(attempt, rewrite.start)
    offsets, tokens = attempt.offsets[hole], attempt.written.holes[hole].tokens
    if not offsets[0] <= rewrite.start <= rewrite.stop <= offsets[-1]:
        return None
    first, last = max(first - 1, 0), min(_index(attempt, hole, rewrite.stop) + 2, len(tokens))
    text = attempt.text[offsets[first] : rewrite.start] + rewrite.text + attempt.text[rewrite.stop : offsets[last]]
    given, old = tokenizer.encode(text.replace("\r\n", "\n")), tokens[first:last]
    same = _alike(given, old)
    behind = _alike(given[:same:-1], old[:same:-1])
    new = tuple(given[same : len(given) - behind])
    return Edit(hole, first + same, last - behind, len(new), given=new)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


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
