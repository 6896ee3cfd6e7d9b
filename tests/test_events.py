"""Events are plain frozen values, and folding them gives the canvas."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.events import Finished, Resized, Started, Stepped, fold, logprobs_of

MASK = 99


def stepped(step: int, written: dict[int, int]) -> Stepped:
    return Stepped(step, tuple(written), tuple(written.values()), (0.5,) * len(written), (0, 9), 0, step, 0.1)


def test_folding_nothing_gives_no_canvas():
    assert fold([]) == ()


def test_folding_a_run_that_was_stopped_gives_what_was_written_so_far():
    assert fold([Started((1, MASK, MASK), MASK, ((1, 3),)), stepped(1, {2: 7})]) == (1, MASK, 7)


@given(st.lists(st.dictionaries(st.integers(0, 8), st.integers(0, 98)), max_size=6))
def test_a_later_commit_lies_over_an_earlier_one(steps):
    canvas = dict.fromkeys(range(9), MASK)
    for written in steps:
        canvas |= written
    tokens = tuple(canvas.values())
    events = [Started((MASK,) * 9, MASK, ((0, 9),)), *(stepped(i, w) for i, w in enumerate(steps))]
    assert fold([*events, Finished(tokens, "complete", len(steps), 1.0)]) == tokens


def test_positions_and_tokens_that_do_not_pair_are_refused():
    event = Stepped(1, (0, 1), (5,), (0.5, 0.5), (0, 2), 0, 1, 0.1)
    with pytest.raises(ValueError, match="shorter"):
        fold([Started((MASK, MASK), MASK, ((0, 2),)), event])


def test_log_probabilities_move_with_their_tokens_and_go_with_them():
    """Written, masked again, pushed behind an inserted mask, and deleted."""
    events = [
        Started((1, MASK, MASK, 2), MASK, ((1, 3),)),
        Stepped(1, (1, 2), (7, 8), (0.9, 0.9), (1, 3), 0, 1, 0.1, (), (-0.5, -0.25)),
        Resized(1, 2, ((1, 5),), 2),
        Stepped(2, (1,), (6,), (0.9,), (1, 5), 2, 2, 0.2, (4,), (-0.125,)),
    ]
    assert logprobs_of(events[:1]) == (0, 0, 0, 0)
    assert logprobs_of(events[:2]) == (0, -0.5, -0.25, 0)
    assert logprobs_of(events) == (0, -0.125, 0, -0.5, 0, 0)
    assert logprobs_of([*events, Resized(1, -2, ((1, 3),), 1)]) == (0, -0.5, 0, 0)
    assert len(logprobs_of(events)) == len(fold(events))


@pytest.mark.parametrize("event", [Started((1,), 1, ()), stepped(1, {}), Finished((1,), "end", 1, 0.0)])
def test_events_are_frozen_hashable_and_slotted(event):
    with pytest.raises(FrozenInstanceError):
        event.tokens = ()
    assert isinstance(hash(event), int)
    assert not hasattr(event, "__dict__")


def test_events_and_errors_import_nothing_heavy():
    code = "import sys, diffucli.events, diffucli.errors; sys.exit(any(m in sys.modules for m in ('torch', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
