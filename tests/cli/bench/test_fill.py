"""`diffu bench fill`: the same region in two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_fill_sees_the_same_canvas_in_a_small_and_in_a_large_file(values: Callable[..., dict]) -> None:
    found = values("fill", "--preset", "fast", "--preset", "balanced")
    assert found["lines"] == [100, 2000]
    assert [each["name"] for each in found["fill"]] == ["fast", "balanced"]
    for each in found["fill"]:
        small, large = each["seconds"]
        assert each["ratio"] == large / small
        assert each["nfe"][0] == each["nfe"][1] > 0
