"""Laps take all of the time, and each goes to one name."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from diffucli.bench.stopwatch import BOOKKEEPING, DRAWING, Stopwatch, drawn
from diffucli.bench.writers import WRITING, Writer
from diffucli.decode.policy import PRESETS

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint


def test_a_lap_is_the_time_since_the_one_before_it_or_the_start() -> None:
    times = iter([1.0, 2.0, 5.0, 10.0, 11.0, 13.0])
    watch = Stopwatch(clock=lambda: next(times))
    watch.lap("a")
    watch.lap("b")
    watch.start()
    watch.lap("a")
    watch.lap("a")
    assert watch.spent == {"a": 1 + 1 + 2, "b": 3}


def test_a_device_is_waited_for_before_the_clock_is_read() -> None:
    told: list[str] = []
    watch = Stopwatch(clock=lambda: told.append("clock") or 0.0, wait=lambda: told.append("wait"))
    watch.lap("a")
    assert told == ["clock", "wait", "clock"]


def test_a_drawn_run_returns_as_any_and_each_event_is_a_lap_of_both(checkpoint: Checkpoint) -> None:
    """Six steps, the first and the last event; and what follows the last one, such as verification, is bookkeeping."""
    ticks, events = count(), Writer(checkpoint, PRESETS["exact"], effort=WRITING).answer("a", length=6, verify="off")
    watch = Stopwatch(clock=lambda: float(next(ticks)))
    result = drawn(events, checkpoint.tokenizer.piece, watch)
    assert (result.nfe, result.chosen.written.masks) == (6, 6)
    assert watch.spent == {BOOKKEEPING: 6 + 2 + 1, DRAWING: 6 + 2}
