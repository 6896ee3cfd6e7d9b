"""Sizes are shown in one way everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.units import format_bytes, format_progress, format_rate, per_second


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (15_231_233_024, "15.2 GB"),
        (1_000_000_000, "1.0 GB"),
        (949_999_999, "950 MB"),
        (999_999_999, "1.0 GB"),
        (100_000_000, "100 MB"),
        (99_960_000, "100 MB"),
        (9_600_000, "9.6 MB"),
        (999_999, "1.0 MB"),
        (1_000, "1.0 kB"),
        (999, "1.0 kB"),
        (12, "12 B"),
        (0, "0 B"),
    ],
)
def test_a_size_is_shown_in_the_largest_unit_that_fits(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (3_100_000_000, 15_231_233_024, "3.1 of 15.2 GB"),
        (0, 760_000, "0.0 of 760 kB"),
        (300_000, 760_000, "300 of 760 kB"),
        (3, 12, "3 of 12 B"),
        (0, 0, "0 of 0 B"),
    ],
)
def test_progress_is_shown_in_the_unit_of_the_total(done, total, text):
    assert format_progress(done, total) == text


@given(st.integers(0, 10**15))
def test_a_shown_size_is_within_five_percent(count):
    number, unit = format_bytes(count).split()
    size = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1}[unit]
    assert float(number) * size == pytest.approx(count, rel=0.05)


@pytest.mark.parametrize(
    ("tokens", "seconds", "text"),
    [
        (0, 1.0, ""),
        (5, 0.0, ""),
        (5, 1e-8, ""),
        (850, 10.0, "85 tok/s"),
        (997, 100.0, "10 tok/s"),
        (99, 10.0, "9.9 tok/s"),
        (4, 10.0, "0.4 tok/s"),
        (1, 10.0, "0.1 tok/s"),
        (1, 31.0, "31 s/token"),
    ],
)
def test_a_speed_is_never_nought(tokens, seconds, text):
    assert format_rate(tokens, seconds) == text


@pytest.mark.parametrize(
    ("count", "seconds", "speed"), [(118, 3.1, 118 / 3.1), (0, 3.1, None), (118, 0.0, None), (118, 1e-8, None)]
)
def test_a_speed_is_told_where_something_was_done_in_a_time_that_can_be_measured(count, seconds, speed):
    assert per_second(count, seconds) == speed
