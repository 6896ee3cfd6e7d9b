"""What the tests of tasks share: a decoding that writes what it is told."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.decode.loop import alone
from diffucli.events import Finished, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from diffucli.decode.canvas import Canvas
    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint


class Scripted:
    """Writes `texts` into the holes of canvas after canvas; `canvases` and `policies` are what it was given."""

    def __init__(self, checkpoint: Checkpoint, *texts: str) -> None:
        self.tokenizer, self.texts = checkpoint.tokenizer, chain(texts, repeat(texts[-1]))
        self.canvases: list[str] = []
        self.policies: list[Any] = []
        self.constraints: list[Any] = []

    def __call__(self, canvas: Canvas, policy: Any, constraints: Any) -> Run[Finished]:
        self.canvases.append(self.tokenizer.decode(canvas.tokens.tolist()))
        self.policies.append(policy)
        self.constraints.append(constraints)
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        for hole in canvas.holes:
            ids = self.tokenizer.encode(next(self.texts), special=True)
            where = tuple(range(hole.start, hole.start + len(ids)))
            canvas.commit(where, ids)
            yield Stepped(1, where, tuple(ids), (1.0,) * len(ids), (0, len(canvas)), canvas.masks_left, 1, 0.1)
        finished = Finished(tuple(canvas.tokens.tolist()), "end", 2, 0.25, canvas.spans)
        yield finished
        return finished


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture(scope="session")
def result_of() -> Callable[..., Any]:
    """result_of(run, network=None): the result of a run, pulled to its end."""

    def pulled(run: Run[Any], network: Any = None) -> Any:
        events: Generator[Any, None, Any] = alone(network, run)
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    return pulled
