"""The length of a hole: several are tried, and the text is chosen by its log-probabilities and those of its end.

A checkpoint that was trained to pad holes may be given more masks than it needs, but a short text in a long hole is
often followed by repetition; with the exact number of masks it is not. So both are tried. A look at a hole that is not
written yet says which lengths are likely: padding is as likely at a mask as a text is that ends before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import TYPE_CHECKING

from diffucli.decode.canvas import Span
from diffucli.decode.loop import ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.tasks.prompt import Layout

PADDED = (6, 12, 20, 40)  # masks of a free hole that may be padded
EXACT = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16)  # masks of a hole that its text fills
START = 4  # masks of a hole that grows, as published for DreamOn
ROOM = 64  # masks of a hole whose text is followed by an end token
LADDER = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)  # the same for a checkpoint that does not pad
RATIOS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)  # lengths of a region, as multiples of its old length
EXTRA_MASKS = 16  # a padded region gets at least so many masks more than its old text had tokens
LOOKED_AT, LONGEST_LOOK = 2, 48  # padded holes that are looked at before any is written, and the masks of the longest
LIKELY = 8  # exact lengths that are tried because they are likely
POSSIBLE = 0.02  # probability of a length that makes it likely enough for that
UNLIKELY = 0.005  # probability that a text is no longer than a length, below which this length is not tried
FINALISTS = 4  # lengths that are written out for a checkpoint that does not pad
LENGTH_WEIGHT = 0.08  # nats for the logarithm of a text's tokens
END_WEIGHT = 0.05  # of the log-probability of the end
VOTE_WEIGHT = 0.28  # nats for the logarithm of the number of lengths at which the same text was written
BREAK_COST = 0.35  # nats for going on in another line, in a hole that stands within a line


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """Masks of a hole. padded: whether the text may be shorter."""

    masks: int
    padded: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What the network says of a hole that is not written yet.

    mean_logprob: of each mask's likeliest token (nats). ends: for each mask, the probability that the text ends before
    it, if the hole may be padded.
    """

    mean_logprob: float
    ends: tuple[float, ...]

    def end_chance(self, tokens: int) -> float:
        """The probability that the text has at most so many tokens."""
        return self.ends[tokens] if tokens < len(self.ends) else 1.0

    def length_chance(self, tokens: int) -> float:
        """The probability that the text has so many tokens, of which there is at least one."""
        return self.end_chance(tokens) - self.end_chance(tokens - 1)


def sizes(old: int, low: int | None, high: int | None, *, pads: bool) -> list[Size]:
    """What to try for a hole whose old text has `old` tokens (0: none), between `low` and `high` tokens long.

    pads: whether the checkpoint pads holes.
    """
    shortest, longest = low or 1, high or 1 << 30
    exact = {old, *EXACT} if pads else {round(old * ratio) for ratio in RATIOS} if old else set(LADDER)
    padded = ({*PADDED, old + max(EXTRA_MASKS, old // 2)} if old else set(PADDED)) if pads else set()
    if pads and old > max(EXACT):
        exact, padded = {old}, {size for size in padded if size > old}
    if high is not None:
        exact |= {high} if shortest == high or not pads else set()
        padded |= {high} if pads and shortest < high else set()
    found = [Size(masks, padded=False) for masks in exact if shortest <= masks <= longest and masks]
    return sorted([*found, *(Size(masks, padded=True) for masks in padded if shortest < masks <= longest)])


def growing(old: int, low: int | None, high: int | None, *, most: int) -> tuple[Size, tuple[int, int]]:
    """The masks that a hole begins with that grows and shrinks while it is written, and the bounds of its length.

    A hole without an old text begins short. most: tokens up to which it grows, if no length is given.
    """
    low, high = low or 1, high or max(most, old + old // 2)
    return Size(min(max(old or START, low), high), padded=False), (low, high)


def ended(old: int, low: int | None, high: int | None) -> Size:
    """The masks of a hole that is the end of its canvas, where an end token follows the text.

    A region gets twice the tokens of its old text.
    """
    most = high or max(2 * old, ROOM)
    return Size(most, padded=low != most)


def score(logprobs: Sequence[float], end: float | None, *, votes: int = 1, breaks: bool = False) -> float:
    """How good the text of a hole is, to two decimals, since less means nothing.

    logprobs: of its tokens (nats). Their mean; for a checkpoint that pads weighed with the length, the end, and the
    lengths that agree. end: the log-probability that the hole ends behind the text; None for a checkpoint that does not
    pad. votes: lengths at which this text was written. breaks: it goes on in another line, the hole stands within one.
    """
    mean = fmean(logprobs) if logprobs else 0.0
    if end is None:
        return round(mean, 2)
    weighed = LENGTH_WEIGHT * math.log(max(len(logprobs), 1)) + END_WEIGHT * end + VOTE_WEIGHT * math.log(votes)
    return round(mean + weighed - BREAK_COST * breaks, 2)


def looked_at(found: Sequence[Size], *, pads: bool) -> Sequence[Size]:
    """Those of `found` whose holes are looked at before any is written."""
    if not pads:
        return found if len(found) > FINALISTS else ()
    return [size for size in found if size.padded and max(EXACT) < size.masks <= LONGEST_LOOK][-LOOKED_AT:]


def look(canvas: Canvas, tokenizer: Tokenizer) -> Run[tuple[Look, float]]:
    """What an unwritten canvas says of its length, and what it cost to ask, in forwards."""
    logprobs, nfe = yield from ask(canvas.tokens, _masks(canvas), canvas.mask)
    ends = logprobs[:, tokenizer.pad].exp().tolist()
    return Look(float(logprobs.max(-1).values.mean()), tuple(accumulate(ends, max))), nfe


def promising(found: Sequence[Size], looks: Mapping[Size, Look], *, low: int, old: int) -> list[Size]:
    """The sizes that are worth writing.

    With padding, those of `found` that are not unlikely, and other exact ones that are likely, of `low` tokens or more;
    without, those whose masks have the likeliest tokens. old: tokens of the old text, whose length is always tried.
    """
    if not looks:
        return list(found)
    largest = max(looks)
    if not largest.padded:
        return sorted(sorted(found, key=lambda size: looks[size].mean_logprob, reverse=True)[:FINALISTS])
    padded, exact = ({size for size in found if size.padded is which} for which in (True, False))
    chances = {Size(n, padded=False): looks[largest].length_chance(n) for n in range(low, largest.masks)}
    possible = [size for size in chances.keys() - exact if chances[size] >= POSSIBLE]
    likely = sorted(possible, key=lambda size: (-chances[size], size))[:LIKELY]
    ends = {size: max(look.end_chance(size.masks) for look in looks.values()) for size in exact}
    return sorted([*padded, *likely, *(size for size in exact if size.masks == old or ends[size] >= UNLIKELY)])


def end_logprob(layout: Layout, number: int, tokenizer: Tokenizer) -> Run[tuple[float, float]]:
    """The log-probability (nats) that hole `number` ends behind its text: that one more mask there would be padding.

    Also what it cost, in forwards.
    """
    behind = layout.holes[number].stop
    tokens = (*layout.tokens[:behind], tokenizer.mask, *layout.tokens[behind:])
    logprobs, nfe = yield from ask(tokens, [behind], tokenizer.mask)
    return float(logprobs[0, tokenizer.pad]), nfe


def _masks(canvas: Canvas) -> list[int]:
    """The positions of the open masks of `canvas`."""
    masks: list[int] = canvas.open_masks(Span(0, len(canvas))).tolist()
    return masks
