"""A race of texts for one hole: they are written side by side, and one that cannot be the best any more is given up.

The best is the clean text with the highest score (`length.score`). Does not know what makes a text clean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diffucli.decode.lanes import watched
from diffucli.events import Stepped
from diffucli.tasks import length
from diffucli.tasks.write import composed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffucli.decode.loop import Run
    from diffucli.events import Event
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.tasks.write import RunOutput

Rank = tuple[float, int]  # score and tokens: of equal texts the longest is the best
NEVER: Rank = (float("-inf"), 0)
MARGIN = 0.4  # nats that the least sure token of a text may lie below that of the best one
BY_CHANCE = 0.12  # nats for the square root of the tokens: the least sure of many is less sure by chance


class _GivenUp(Exception):
    """A text that is being written cannot be the best any more."""


@dataclass
class _Text:
    """A text as it was written most surely, and at how many lengths. end: its log-probability, once it was asked."""

    output: RunOutput
    votes: int = 0
    end: float | None = None
    faults: Any = None
    was_read: bool = False


@dataclass
class Race:
    """Compares the texts of one hole, each the only hole of its layout.

    faults: how far a text is from being clean, a value that is smaller for fewer faults; None: it is clean. breaks:
    whether a text goes on in another line although the hole stands within one. tokenizer: None for a checkpoint that
    does not pad, whose texts have no end that can be asked for. most: texts that are read. best: the best clean text so
    far; without one, that with the fewest faults. nfe: what all have cost.
    """

    faults: Callable[[RunOutput], Any]
    breaks: Callable[[RunOutput], bool]
    tokenizer: Tokenizer | None
    most: int
    best: RunOutput | None = None
    nfe: float = 0.0
    _rank: Rank = NEVER  # of the best clean text
    _fewest: tuple[Any, float] | None = None  # faults of the best text, and its score, if none is clean
    _texts: dict[tuple[int, ...], _Text] = field(default_factory=dict)

    def lane(self, run: Run[RunOutput], masks: int | None) -> Run[RunOutput | None]:
        """`run`, which takes part; None if it was given up. masks: tokens of its text, None if they are not known."""
        logprobs: list[float] = []
        nfe = 0.0

        def see(event: Event) -> None:
            nonlocal nfe
            if isinstance(event, Stepped):
                nfe = event.nfe
                logprobs.extend(event.logprobs)
                if masks is not None and self._is_lost(logprobs, masks):
                    raise _GivenUp

        try:
            output = yield from watched(run, see)
        except _GivenUp:
            self.nfe += nfe
            return None
        self.nfe += output.nfe
        if output.tokens:
            yield from self._enter(output)
        return output

    def _is_lost(self, logprobs: list[float], masks: int) -> bool:
        """Whether a text of `masks` tokens, some of which have these log-probabilities, is not worth writing further.

        It is not if there is a clean text and this one cannot reach its score, or has a token that is much less sure.
        """
        if self.best is None or self._rank == NEVER:
            return False
        votes = max((text.votes for tokens, text in self._texts.items() if len(tokens) == masks), default=0)
        most = length.score([*logprobs, *[0.0] * (masks - len(logprobs))], self._known(0.0), votes=votes + 1)
        return (most, masks) < self._rank or _least(logprobs, masks) < _least(self.best.logprobs) - MARGIN

    def _known(self, end: float) -> float | None:
        """`end`, for a checkpoint whose texts have an end."""
        return None if self.tokenizer is None else end

    def _enter(self, output: RunOutput) -> Run[None]:
        """Counts a text that was written, and reads it if it can be the best."""
        tokens = output.holes[0].tokens
        text = self._texts.setdefault(tokens, _Text(output))
        text.votes += 1
        if output.mean_logprob > text.output.mean_logprob:
            text.output = output
        if self._rank_of(text, self._known(0.0)) <= self._rank:
            return
        if text.end is None and self.tokenizer is not None:
            layout = composed(output.layout, output.holes)
            text.end, nfe = yield from length.end_logprob(layout, 0, self.tokenizer)
            self.nfe += nfe
        if (rank := self._rank_of(text, text.end)) > self._rank:
            self._read(text, rank)

    def _rank_of(self, text: _Text, end: float | None) -> Rank:
        logprobs, breaks = text.output.logprobs, self.breaks(text.output)
        return length.score(logprobs, end, votes=text.votes, breaks=breaks), len(logprobs)

    def _read(self, text: _Text, rank: Rank) -> None:
        """Makes a text the best unless it has faults, or more of them than another."""
        if not text.was_read:
            if not self.most:
                return
            self.most -= 1
            text.faults, text.was_read = self.faults(text.output), True
        if text.faults is None:
            self.best, self._rank = text.output, rank
        elif self._rank == NEVER and (self._fewest is None or (text.faults, -rank[0]) < self._fewest):
            self.best, self._fewest = text.output, (text.faults, -rank[0])


def _least(logprobs: Sequence[float], tokens: int | None = None) -> float:
    """How sure the least sure of `tokens` tokens is, as far as they are written, weighed with how many they are."""
    return min(logprobs, default=0.0) + BY_CHANCE * math.sqrt(len(logprobs) if tokens is None else tokens)
