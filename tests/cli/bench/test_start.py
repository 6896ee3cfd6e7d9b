"""`diffu bench start`: phases of child processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.startup import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_a_start_is_measured_phase_by_phase(values: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = dict.fromkeys(NAMES, 0.5)
    calls = []
    monkeypatch.setattr(
        "diffucli.bench.startup.measure", lambda model, rounds: calls.append((model, rounds)) or seconds
    )
    found = values("start", "-n", "3", "--device", "cpu")
    assert found["start"] == seconds
    assert "load_seconds" not in found, "nothing is loaded in this process"
    ((model, rounds),) = calls
    assert (model.device, model.quant, rounds) == ("cpu", "auto", 3)
