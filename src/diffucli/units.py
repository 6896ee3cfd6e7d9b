"""Bytes and speeds as people read them, and how far a long job has come."""

from __future__ import annotations

from dataclasses import dataclass

UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
SMALL = 10  # tokens a second, below which decimals count
SHORTEST = 0.01  # seconds that are long enough to tell a speed by
WHOLE = 100  # numbers from here on are shown without decimals


@dataclass(frozen=True, slots=True)
class JobProgress:
    """`done` of `total` bytes of the stage of a job, such as "fetching" or "verifying". `done` never decreases."""

    stage: str
    done: int
    total: int


def format_bytes(count: int) -> str:
    """`count` bytes in the largest decimal unit that fits: "16.3 GB", "100 MB", "9.6 MB", "0 B"."""
    number, unit = _scaled(count, count)
    return f"{number} {unit}"


def per_second(count: float, seconds: float) -> float | None:
    """`count` per second; None where that means nothing: nothing was counted, or in next to no time."""
    return count / seconds if count and seconds >= SHORTEST else None


def format_progress(done: int, total: int) -> str:
    """`done` of `total` bytes, both in the unit of the total: "3.1 of 15.2 GB"."""
    number, unit = _scaled(total, total)
    return f"{_scaled(done, total)[0]} of {number} {unit}"


def format_rate(tokens: int, seconds: float) -> str:
    """A speed: "85 tok/s", "0.4 tok/s", "31 s/token"; "" where `per_second` tells none."""
    if (rate := per_second(tokens, seconds)) is None:
        return ""
    if round(rate, 1) < 0.1:  # noqa: PLR2004 — what one decimal shows
        return f"{1 / rate:.0f} s/token"
    return f"{rate:.0f} tok/s" if round(rate, 1) >= SMALL else f"{rate:.1f} tok/s"


def _scaled(count: int, scale: int) -> tuple[str, str]:
    """`count` as digits in the unit that `scale` bytes are shown in, and the unit's name."""
    for unit, size in UNITS:
        if round(scale / size, 1) >= 1:
            number = count / size
            return (f"{number:.0f}" if round(number, 1) >= WHOLE else f"{number:.1f}"), unit
    return str(count), "B"
