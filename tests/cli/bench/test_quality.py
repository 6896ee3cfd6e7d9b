"""`diffu bench quality`: pass@1, paired with the first row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.bench.conftest import Cells
    from tests.cli.conftest import Diffu


FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")


@pytest.mark.usefixtures("loaded")
def test_quality_is_paired_with_the_first_row(cells: Cells, diffu: Diffu, values: Callable[..., dict]) -> None:
    flags = ("quality", "--preset", "balanced", *FAST, "-n", "3")
    header, _, first, second, _, how = diffu("bench", *flags).out.decode().splitlines()[-6:]
    assert how.startswith("The code was ")
    assert cells(header)[:4] == ["preset", "problems", "pass@1", "to the first"]
    assert cells(first)[:4] == ["balanced", "3", "0.0 %", ""], "of problems that all went alike no error can be told"
    assert cells(second)[:4] == ["fast", "3", "0.0 %", "+0.0 (0 won, 0 lost)"]
    found = values(*flags)
    assert found["benchmark"] == "quality"
    assert found["confinement"] in {"bubblewrap", "namespaces", "none"}
    for row in found["presets"]:
        assert row["quality"]["passed"] == [False] * 3
        assert row["quality"]["to_first"] == {"won": 0, "lost": 0, "problems": 3, "difference": 0, "error": None}
        assert row["tokens_per_second"] == row["tokens"] / row["seconds"]


def test_the_quality_of_a_yardstick_is_the_first_row(values: Callable[..., dict]) -> None:
    rows = values("quality", *FAST, *BOTH[:2], "-n", "2")["presets"]
    assert [row["name"] for row in rows] == ["reference", "fast"]
    assert rows[0]["nfe"] == 2 * 8
