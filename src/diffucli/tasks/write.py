"""Writing: a run on a canvas, from its layout to the tokens that were written.

Knows nothing of text, syntax or files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.lanes import watched
from diffucli.decode.loop import denoise
from diffucli.decode.policy import Policy
from diffucli.decode.sample import Constraints
from diffucli.decode.speculate import speculate
from diffucli.events import Finished, Started, logprobs_of

if TYPE_CHECKING:
    from diffucli.decode.loop import Run
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.prompt import Layout

Decode = Callable[[Canvas, Policy, Constraints], "Run[Finished]"]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How holes are written: by which checkpoint and policy, under which constraints, by which loop."""

    checkpoint: Checkpoint
    policy: Policy
    constraints: Constraints
    decode: Decode


@dataclass(frozen=True, slots=True)
class HoleText:
    """The text of a hole: its `tokens` up to the first end token, without masks.

    logprobs: of each token (nats) when it was written; 0 for one that stood there before. ended: whether an end token
    closed the hole.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool = False

    @property
    def mean_logprob(self) -> float:
        """The mean log-probability of the tokens; 0 for no text."""
        return sum(self.logprobs) / max(len(self.logprobs), 1)


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What a run wrote, hole by hole.

    layout: the canvas as it was laid out. masks: of the canvas at first, or the tokens of holes that grew. masks_left:
    those that a budget left unwritten. nfe, seconds: what it cost.
    """

    layout: Layout
    holes: tuple[HoleText, ...]
    masks: int
    masks_left: int
    nfe: float
    seconds: float

    @property
    def tokens(self) -> int:
        """How many tokens are text."""
        return sum(len(hole.tokens) for hole in self.holes)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """The log-probabilities of all tokens of text."""
        return tuple(logprob for hole in self.holes for logprob in hole.logprobs)

    @property
    def mean_logprob(self) -> float:
        """The mean log-probability of the text's tokens; 0 for no text."""
        return sum(self.logprobs) / max(self.tokens, 1)


def as_last_canvas(output: RunOutput, mask: int, *, nfe: float) -> Run[None]:
    """The events of a canvas that has the text already, so that the last canvas of a run is that of its text.

    nfe: forwards that no event has told yet.
    """
    layout = composed(output.layout, output.holes)
    yield Started(layout.tokens, mask, (), (layout.shown.start, layout.shown.stop))
    yield Finished(layout.tokens, "complete", nfe, 0.0)


def composed(layout: Layout, holes: Sequence[HoleText]) -> Layout:
    """`layout` with the texts of its holes in them, which are as long as these; what ended an answer follows it."""
    tokens: list[int] = []
    spans: list[Span] = []
    end = 0
    for span, hole in zip(layout.holes, holes, strict=True):
        tokens += layout.tokens[end : span.start]
        spans.append(Span(len(tokens), len(tokens) + len(hole.tokens)))
        tokens += hole.tokens
        end = span.stop
    tokens += layout.tokens[end:]
    if holes and holes[-1].ended:
        tokens += layout.closing
    shown = Span(layout.shown.start, layout.shown.stop + len(tokens) - len(layout.tokens))
    return replace(layout, tokens=tuple(tokens), holes=tuple(spans), shown=shown)


def write(decoding: Decoding, layout: Layout) -> Run[RunOutput]:
    """Writes the holes of `layout`."""
    ends = frozenset(decoding.constraints.ends) if decoding.policy.stop else frozenset()
    return (yield from write_on(decoding, layout, canvas_of(decoding.checkpoint, layout, ends=ends)))


def canvas_of(
    checkpoint: Checkpoint, layout: Layout, *, ends: frozenset[int] = frozenset(), written: bool = False
) -> Canvas:
    """The canvas of a layout for this checkpoint. ends, written: as `Canvas` has them."""
    mask, align = checkpoint.tokenizer.mask, checkpoint.family.block or 1
    return Canvas(layout.tokens, layout.holes, mask=mask, ends=ends, written=written, align=align)


def write_on(decoding: Decoding, layout: Layout, canvas: Canvas, before: Sequence[Event] = ()) -> Run[RunOutput]:
    """Writes the open masks of `canvas`. before: events that led to this canvas, its first one included."""
    masks, events = canvas.masks_left, list(before)
    run = watched(decoding.decode(canvas, decoding.policy, decoding.constraints), events.append)
    started = next(run)
    assert isinstance(started, Started), "a run begins with Started"
    ends = frozenset(decoding.constraints.ends)
    if before:
        events.pop()
        yield from before
    else:
        yield replace(started, shown=(layout.shown.start, layout.shown.stop), ends=ends)
    finished = yield from run
    logprobs, ends = logprobs_of(events), ends | decoding.checkpoint.tokenizer.ends
    holes = tuple(_text(Span(*span), finished.tokens, logprobs, canvas.mask, ends) for span in finished.holes)
    masks = max(masks, sum(len(hole.tokens) for hole in holes) if decoding.constraints.resizing else 0)
    return RunOutput(layout, holes, masks, canvas.masks_left, finished.nfe, finished.seconds)


def _text(span: Span, tokens: Sequence[int], logprobs: Sequence[float], mask: int, ends: Collection[int]) -> HoleText:
    """The text in `span`."""
    text = list(takewhile(lambda position: tokens[position] not in ends, range(span.start, span.stop)))
    kept = [position for position in text if tokens[position] != mask]
    return HoleText(
        tuple(tokens[position] for position in kept),
        tuple(logprobs[position] for position in kept),
        ended=len(text) < len(span),
    )


def default_decode(canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
    """The decoding loop, with guesses where the policy says so."""
    run = denoise(canvas, policy, constraints)
    return speculate(run, policy) if policy.speculate else run
