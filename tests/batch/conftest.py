"""What the tests of batches share: a worker on the golden checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffucli.batch.worker import RowWorker
from diffucli.tasks.engine import Effort
from diffucli.tasks.options import DecodingOptions

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint


@pytest.fixture
def worker(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> RowWorker:
    """Writes rows with the golden checkpoint, which is loaded already."""
    monkeypatch.setattr("diffucli.model.load.load", lambda folder, **_: checkpoint)
    policy = DecodingOptions(seed=0, temperature=1.0, steps=4).policy()
    return RowWorker(str(checkpoint.folder), policy, Effort(repair=0), verify="warn", together=3)
