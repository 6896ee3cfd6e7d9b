"""Writing: a run on a canvas, from its layout to the tokens that were written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Span
from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.events import Started, Stepped
from diffucli.tasks.engine import constraints_of
from diffucli.tasks.prompt import Layout
from diffucli.tasks.write import Decoding, HoleText, RunOutput, composed, default_decode, write

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = PRESETS["balanced"]


def decoding(checkpoint: Any, decode: Any, ends: frozenset[int], holes: int = 1) -> Decoding:
    found = constraints_of(checkpoint, POLICY, ends=ends, forbidden=frozenset(), min_tokens=[0] * holes)
    return Decoding(checkpoint, POLICY, found, decode)


def layout(checkpoint: Any, *sizes: int) -> Layout:
    """`a`, then holes of these sizes with an `a` behind each."""
    tokens, holes = checkpoint.tokenizer.encode("a"), []
    for size in sizes:
        holes.append(Span(len(tokens), len(tokens) + size))
        tokens = [*tokens, *[checkpoint.tokenizer.mask] * size, *checkpoint.tokenizer.encode("a")]
    return Layout(tuple(tokens), tuple(holes), Span(0, len(tokens)))


def test_an_output_has_each_hole_up_to_its_end_token(checkpoint, scripted, result_of):
    tokenizer = checkpoint.tokenizer
    told = decoding(checkpoint, scripted(checkpoint, "x = 1<|im_end|>y", "y"), tokenizer.ends, 2)
    written = result_of(write(told, layout(checkpoint, 8, 1)))
    assert [tokenizer.decode(hole.tokens) for hole in written.holes] == ["x = 1", "y"]
    assert [hole.ended for hole in written.holes] == [True, False]
    assert written.tokens == len(tokenizer.encode("x = 1")) + len(tokenizer.encode("y"))
    assert (written.masks, written.nfe, written.seconds) == (9, 2, 0.25)
    assert written.layout == layout(checkpoint, 8, 1)


def test_masks_that_were_never_written_are_left_and_no_text(checkpoint, scripted, result_of):
    told = decoding(checkpoint, scripted(checkpoint, "y", left=9), checkpoint.tokenizer.ends)
    written = result_of(write(told, layout(checkpoint, 6)))
    text = checkpoint.tokenizer.encode("y")
    assert written.holes == (HoleText(tuple(text), (0.0,) * len(text)),)
    assert (written.tokens, written.masks_left) == (len(text), 6 - len(text))


def test_the_log_probabilities_are_those_of_the_steps_that_wrote_the_tokens(checkpoint):
    told = decoding(checkpoint, default_decode, frozenset())
    events, run = [], alone(checkpoint.network, write(told, layout(checkpoint, 9)))
    try:
        while True:
            events.append(next(run))
    except StopIteration as end:
        written = end.value
    steps = [event for event in events if isinstance(event, Stepped)]
    by_position = {p: value for step in steps for p, value in zip(step.positions, step.logprobs, strict=True)}
    assert written.logprobs == tuple(by_position[p] for p in sorted(by_position))
    assert len(written.logprobs) == written.tokens == 9
    assert written.mean_logprob == sum(written.logprobs) / 9 < 0
    start = layout(checkpoint, 9)
    assert isinstance(events[0], Started)
    assert (events[0].shown, events[0].holes) == (
        (0, len(start.tokens)),
        ((start.holes[0].start, start.holes[0].stop),),
    )


def test_no_text_has_no_log_probability():
    assert RunOutput(Layout((), (), Span(0, 0)), (HoleText((), ()),), 0, 0, 0.0, 0.0).mean_logprob == 0


numbers = st.integers(0, 9)


@given(st.lists(st.tuples(st.lists(numbers, max_size=3), st.integers(0, 3), st.lists(numbers, max_size=4)), max_size=4))
def test_a_layout_with_its_texts_in_it_has_them_between_what_stood_around_the_holes(pieces):
    """pieces: (tokens before a hole, its masks, its text)."""
    tokens: list[int] = []
    holes: list[Span] = []
    for before, size, _ in pieces:
        tokens += before
        holes.append(Span(len(tokens), len(tokens) + size))
        tokens += [99] * size
    first = Layout((*tokens, 7), tuple(holes), Span(0, len(tokens) + 1))
    found = composed(first, [HoleText(tuple(text), (0.0,) * len(text)) for _, _, text in pieces])
    flat: Sequence[int] = [token for before, _, text in pieces for token in (*before, *text)]
    assert found.tokens == (*flat, 7)
    assert [list(found.tokens[hole.start : hole.stop]) for hole in found.holes] == [text for *_, text in pieces]
    assert found.shown == Span(0, len(found.tokens))


def test_what_closes_an_answer_follows_the_text_that_came_to_its_end_alone():
    open_ = Layout((1, 99, 99), (Span(1, 3),), Span(1, 3), closing=(5, 6))
    assert composed(open_, [HoleText((2,), (0.0,), ended=True)]).tokens == (1, 2, 5, 6)
    assert composed(open_, [HoleText((2,), (0.0,))]) == replace(
        open_, tokens=(1, 2), holes=(Span(1, 2),), shown=Span(1, 2)
    )
