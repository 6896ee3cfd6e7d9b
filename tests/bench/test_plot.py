"""The picture of a comparison."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.bench import plot
from diffucli.bench.plot import Point

if TYPE_CHECKING:
    from pathlib import Path

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")
POINTS = [Point("slow", 90, 10, 3), Point("fast", 80, 500, 4), Point("worse", 79, 400)]
small = st.integers(0, 5).map(float)


@given(st.lists(st.builds(Point, st.just("p"), small, small), min_size=1))
def test_the_best_beat_all_others_in_something_and_rise_on_one_side_as_they_fall_on_the_other(
    points: list[Point],
) -> None:
    best = plot.best(points)
    assert best
    assert [p.rate for p in best] == sorted((p.rate for p in best), reverse=True)
    for point in points:
        assert any(q.x >= point.x and q.rate >= point.rate for q in best)


@drawing
def test_every_row_is_named_in_the_picture_which_is_the_same_again(tmp_path: Path) -> None:
    plot.draw(POINTS, tmp_path / "a.svg", label="pass@1, percent")
    plot.draw(POINTS, tmp_path / "b.svg", label="pass@1, percent")
    text = (tmp_path / "a.svg").read_text()
    assert all(f">{word}<" in text for word in ("slow", "fast", "worse", "pass@1, percent", "tokens per second"))
    assert text == (tmp_path / "b.svg").read_text()
