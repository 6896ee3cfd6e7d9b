"""Figures of a run: they count text alone, and add up."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from diffucli.bench.speed import Ratio, Speed, Work, findings, measure, points
from diffucli.bench.writers import DUAL_CACHE, REFERENCE, WRITING, Writer, writers
from diffucli.decode.policy import PRESETS
from diffucli.events import Finished, Started
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.decode.sample import Constraints
    from diffucli.model.load import Checkpoint
    from diffucli.model.network import Network
    from diffucli.ui.frame import Frame

SPEED = Speed("balanced", requests=4, tokens=60, nfe=20, seconds=2.0, drawing=0.05, median=0.4)


def test_rates_follow_from_the_counts() -> None:
    assert SPEED.tokens_per_forward == 3
    assert SPEED.milliseconds_per_step == 100
    assert SPEED.tokens_per_second == 30
    assert SPEED.drawn == pytest.approx(0.025)


def test_a_comparison_is_in_multiples_of_the_other() -> None:
    other = Speed("reference", requests=4, tokens=30, nfe=80, seconds=4.0, drawing=0.0, median=1.0)
    assert SPEED.over(other) == Ratio(rate=4.0, forwards=0.25)
    assert SPEED.over(SPEED) == Ratio(1.0, 1.0)
    assert SPEED.over(replace(other, tokens=0)).rate is None


def test_every_writer_is_measured_on_every_request_and_round(checkpoint: Checkpoint) -> None:
    policies = {"one": PRESETS["balanced"], "all": replace(PRESETS["exact"], steps=1)}
    work = Work(["a", "b", "c"], rounds=2, length=12)
    speeds = list(measure(writers(checkpoint, policies, [REFERENCE]), work))
    assert [(speed.name, speed.requests) for speed in speeds] == [(REFERENCE, 6), ("one", 6), ("all", 6)]
    assert speeds[0].nfe == 6 * 12
    assert speeds[2].nfe == 6, "one forward a run: the run that warms up is not counted"
    assert all(speed.seconds > 0 and 0 < speed.median <= speed.seconds for speed in speeds)


def test_an_answer_that_may_not_end_fills_the_canvas_by_any_writer(checkpoint: Checkpoint) -> None:
    work = Work(["a", "b"], length=10, full=True)
    for speed in measure(writers(checkpoint, PRESETS, [REFERENCE, DUAL_CACHE]), work):
        assert speed.tokens == 2 * 10, speed.name


class Scripted:
    """In place of the loop: writes `tokens` into the hole in 6 forwards; `runs` counts."""

    def __init__(self, *tokens: int) -> None:
        self.tokens, self.runs = tokens, 0

    def __call__(self, canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
        self.runs += 1
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        canvas.commit(range(canvas.holes[0].start, canvas.holes[0].start + len(self.tokens)), self.tokens)
        yield (finished := Finished(tuple(canvas.tokens.tolist()), "end", 6, 0.1, canvas.spans))
        return finished


def test_only_text_up_to_the_first_end_counts(checkpoint: Checkpoint) -> None:
    words = checkpoint.tokenizer
    text, end = words.encode("x")[0], min(words.ends)
    decode = Scripted(text, words.mask, text, end, text, end)
    (speed,) = measure({"x": Writer(checkpoint, PRESETS["balanced"], decode, effort=WRITING)}, Work(["a"], length=6))
    assert (speed.tokens, speed.nfe) == (2, 6)


def test_a_text_that_does_not_parse_is_not_written_again(checkpoint: Checkpoint) -> None:
    """Speed is that of a single run; what a second one costs is a matter of quality."""
    decode = Scripted(*checkpoint.tokenizer.encode("def f(:"))
    (speed,) = measure(
        {"x": Writer(checkpoint, PRESETS["balanced"], decode, effort=WRITING)}, Work(["a", "b"], rounds=2, length=20)
    )
    assert (speed.requests, speed.nfe, decode.runs) == (4, 4 * 6, 1 + 4)


def test_every_row_is_divided_by_every_yardstick() -> None:
    slow = replace(SPEED, name="reference", nfe=80, seconds=4.0)
    header, _, first, second = findings([slow, SPEED], ["reference"], full=False).text.splitlines()
    assert header.endswith("| tok/s ÷ reference | NFE ÷ reference |")
    assert [cell.strip() for cell in first.split("|")][-3:-1] == ["1x", "1x"]
    assert [cell.strip() for cell in second.split("|")][-3:-1] == ["2x", "0.25x"]
    _, values = findings([slow, SPEED], ["reference"], full=False).values["presets"]  # type: ignore[misc]
    assert values["against"] == {"reference": {"rate": 2.0, "forwards": 0.25}}
    assert values["tokens_per_forward"] == 3


def test_a_full_canvas_is_noted_above_the_table() -> None:
    found = findings([SPEED], [], full=True)
    assert found.text.startswith("The answer fills the canvas: end tokens are forbidden.\n\n| preset")
    assert found.values["full"] is True
    assert "against" not in found.values["presets"][0]  # type: ignore[index]


def test_points_are_rates_over_tokens_per_forward() -> None:
    (point,) = points([SPEED])
    assert (point.name, point.x, point.rate, point.error) == ("balanced", 3, 30, 0)


def test_seconds_and_seconds_of_drawing_are_elapsed_time(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Screen.paint

    def slow_paint(screen: Screen, frame: Frame) -> None:
        time.sleep(0.1)
        paint(screen, frame)

    monkeypatch.setattr(Screen, "paint", slow_paint)
    slow = SlowNetwork(checkpoint.network)
    writer = Writer(
        replace(checkpoint, network=cast("Network", slow)), replace(PRESETS["exact"], steps=3), effort=WRITING
    )
    begun = time.perf_counter()
    (speed,) = measure({"x": writer}, Work(["a"], length=6))
    whole = time.perf_counter() - begun
    assert speed.nfe == 3
    assert 3 * 0.05 <= speed.seconds <= whole - 3 * 0.05, "the run before it does not count"
    assert 0.1 <= speed.drawing <= whole - speed.seconds
    assert speed.median == speed.seconds


class SlowNetwork:
    """A network that takes 50 ms longer for a forward."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __getattr__(self, name: str) -> object:
        return getattr(self.network, name)

    def __call__(self, *args: object, **keywords: object) -> object:
        time.sleep(0.05)
        return self.network(*args, **keywords)
