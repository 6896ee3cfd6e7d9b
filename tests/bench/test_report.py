"""What a benchmark reports: facts, findings, and a chart with its Pareto front."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.bench.report import ChartPoint, Findings, facts, pareto_front, plot

if TYPE_CHECKING:
    from pathlib import Path

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")
POINTS = [ChartPoint("slow", 90, 10, 3), ChartPoint("fast", 80, 500, 4), ChartPoint("worse", 79, 400)]
CPU = torch.device("cpu")
small = st.integers(0, 5).map(float)


@given(st.lists(st.builds(ChartPoint, st.just("p"), small, small), min_size=1))
def test_the_best_beat_all_others_in_something_and_rise_on_one_side_as_they_fall_on_the_other(
    points: list[ChartPoint],
) -> None:
    best = pareto_front(points)
    assert best
    assert [p.rate for p in best] == sorted((p.rate for p in best), reverse=True)
    for point in points:
        assert any(q.x >= point.x and q.rate >= point.rate for q in best)


@drawing
def test_every_row_is_named_in_the_picture_which_is_the_same_again(tmp_path: Path) -> None:
    plot(POINTS, tmp_path / "a.svg", label="pass@1, percent")
    plot(POINTS, tmp_path / "b.svg", label="pass@1, percent")
    text = (tmp_path / "a.svg").read_text()
    assert all(f">{word}<" in text for word in ("slow", "fast", "worse", "pass@1, percent", "tokens per second"))
    assert text == (tmp_path / "b.svg").read_text()


def test_the_facts_name_what_was_measured_and_the_memory_only_if_something_was_loaded() -> None:
    found = facts("mini", CPU)
    assert {"model", "date", "processor", "cores", "threads", "device", "python", "torch", "transformers"} == set(found)
    assert (found["model"], found["device"]) == ("mini", "cpu")
    loaded = facts("mini", CPU, load_seconds=1.5)
    assert loaded["load_seconds"] == 1.5
    assert 10 < loaded["peak_mb"] < 1e6, "a process with torch in it"  # type: ignore[operator]


def test_findings_are_joined_with_all_their_values() -> None:
    both = Findings("a", {"x": 1}).followed_by(Findings("b", {"y": 2}))
    assert both == Findings("a\n\nb", {"x": 1, "y": 2})
