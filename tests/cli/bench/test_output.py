"""Facts above every table, and an object with --json."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.cli.conftest import Diffu

    from diffucli.model.load import Checkpoint


FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")


def test_load_seconds_are_the_time_of_loading(
    diffu: Diffu, checkpoint: Checkpoint, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(folder: Path, **_: object) -> Checkpoint:
        time.sleep(0.2)
        return checkpoint

    monkeypatch.setattr("diffucli.model.load.load", load)
    begun = time.perf_counter()
    found = json.loads(diffu("bench", "speed", "--prompts", two, *FAST, "--json").out)
    whole = time.perf_counter() - begun
    assert 0.2 <= found["load_seconds"] <= whole - sum(row["seconds"] for row in found["presets"])
