"""What the tests of tasks share: a decoding that writes what it is told, and the result of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from diffucli.decode.loop import alone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint


@pytest.fixture(scope="session")
def scripted(script: Any) -> Any:
    """See `Script`; a run has 2 forwards."""
    return script


@pytest.fixture(scope="session")
def result_of(checkpoint: Checkpoint) -> Callable[..., Any]:
    """result_of(run, network=None): the result of a run, pulled to its end; by default on the golden network."""

    def pulled(run: Run[Any], network: Any = None) -> Any:
        events: Generator[Any, None, Any] = alone(network or checkpoint.network, run)
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    return pulled
