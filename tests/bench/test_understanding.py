"""Figures of records: by hand, with errors over problems, and without what was broken off."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import stdev

import pytest

from diffucli.bench.orders import OrderedSample, OrderProbe
from diffucli.bench.understanding import SECTIONS, Estimate, Understanding, passes, taus

THERE, BACK = (0, 1, 2, 3, 4), (4, 3, 2, 1, 0)


def sample(
    problem: int, temperature: float, seed: int, order: tuple[int, ...] = THERE, **rest: object
) -> OrderedSample:
    made = OrderedSample("code", problem, temperature, seed, (*order, 5), order, seed, passed=True, seconds=30.0)
    return replace(made, **rest)  # type: ignore[arg-type]


def probe(problem: int) -> OrderProbe:
    return OrderProbe("code", problem, {"0": 0.0, "0.2": 0.5, "1": 0.25}, (0.1,) * 6, (0.9,) * 6, 0.0)


RECORDS = [
    *(probe(number) for number in range(3)),
    *(sample(number, 0.0, 0) for number in range(3)),
    *(sample(number, 0.2, seed) for number in range(3) for seed in range(10)),
    *(sample(0, 1.0, seed, BACK if seed else THERE, passed=seed == 1) for seed in range(10)),
    *(sample(number, 1.0, seed, passed=number == 1) for number in (1, 2) for seed in range(10)),
]
FOUND = Understanding.of(RECORDS)


def table(name: str) -> dict[str, list[str]]:
    """The cells of a section's table, by temperature."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTIONS[name](FOUND).splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


def test_an_error_is_over_problems() -> None:
    one = passes(FOUND, "code", 1.0, 1)
    assert (one.mean, one.error) == (pytest.approx(1.1 / 3), pytest.approx(stdev([0.1, 1, 0]) / math.sqrt(3)))
    assert passes(FOUND, "code", 1.0, 10).mean == pytest.approx(2 / 3)
    assert math.isnan(passes(FOUND, "code", 0.0, 10).mean), "there is one sample at temperature 0"
    assert Estimate.of([2.0]).text() == "2.00"
    assert Estimate.of([]).text() == "-"


def test_a_difference_is_paired_by_problem() -> None:
    cells = table("pass")
    assert cells["0.2"] == ["100.0 ± 0.0", "", "100.0 ± 0.0", ""]
    error = 100 * stdev([0.9, 0, 1]) / math.sqrt(3)
    assert cells["1"][1] == f"{100 * (1.1 / 3 - 1):.1f} ± {error:.1f}"
    assert cells["0"][2:] == ["", ""]


def test_ar_ness_is_the_mean_of_the_samples_and_counts_padding_apart() -> None:
    cells = table("order")
    assert cells["0.2"][0] == "1.00 ± 0.00"
    assert cells["1"][0] == f"{(0.1 + 1 + 1) / 3:.2f} ± {stdev([0.1, 1, 1]) / math.sqrt(3):.2f}"
    assert cells["T"][-1] == "global @1, padding"


def test_orders_are_compared_pair_by_pair() -> None:
    reversed_pairs, all_pairs = 9, 45
    assert taus(FOUND, "code", 0.2).mean == 1.0
    assert taus(FOUND, "code", 1.0).mean == pytest.approx((1 - 2 * reversed_pairs / all_pairs + 1 + 1) / 3)
    cells = table("orders")
    assert cells["0.2"][0] == "50.0 ± 0.0"
    assert cells["1"][3] == f"{(2 + 1 + 1) / 3:.1f} ± {stdev([2, 1, 1]) / math.sqrt(3):.1f}"
    assert cells["1"][4] == "10.0 ± 0.0"


def test_the_first_step_is_told_by_position() -> None:
    rows = table("sink")
    assert rows["1"] == ["0.10 ± 0.00", "0.90 ± 0.00"]
    assert list(rows)[2:] == ["1", "2", "3-4", "5-8", "9-16", "17-32", "33-64"]
    assert rows["9-16"] == ["-", "-"]


def test_a_problem_that_was_broken_off_does_not_count() -> None:
    found = Understanding.of([*RECORDS, probe(3), sample(3, 0.0, 0), sample(4, 0.0, 0)])
    assert found == FOUND
    assert found.facts() == {
        "problems": "3 of code",
        "samples": "63: 10 of each problem at each temperature, one at temperature 0",
        "minutes of computing": "32",
    }
