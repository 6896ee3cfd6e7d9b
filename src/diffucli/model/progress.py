"""How far a long job on a checkpoint is: plain values that a caller draws."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes of what `stage` names ("fetching", "quantising", "verifying"); `done` never goes back."""

    stage: str
    done: int
    total: int
