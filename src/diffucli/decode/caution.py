"""Out of memory while decoding: no guesses, then half of the rows at a time, then it is said, never a traceback.

Halves give the same logits as the whole; they cost a second forward.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffucli.errors import NoRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffucli.decode.canvas import Canvas, Span
    from diffucli.decode.predict import Predictor
    from diffucli.events import Event

HINT = "try a smaller --length or --block, --quant nf4, or --device cpu"


class Cautious:
    """A predictor that asks for half of the rows at a time once all of them were too many.

    makes: new predictors, what asks for most first; the last one is asked for halves. One that ran out of memory
    half-way may hold half a cache, so it is not asked again.
    """

    def __init__(self, make: Callable[[], Predictor], *makes: Callable[[], Predictor]) -> None:
        self._make, self._predictor, self._left = make, make(), list(makes)
        self._spent = 0
        self.halved = False

    @property
    def forwards(self) -> int:
        """Forwards spent, those of given up predictors included."""
        return self._spent + self._predictor.forwards

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions` `[n]`. NoRoom where even half of them are too many."""
        while not self.halved:
            try:
                return self._predictor(canvas, window, positions)
            except (MemoryError, RuntimeError) as exc:
                if not is_out_of_memory(exc):
                    raise
            self._begin_again()
        with saying_so(f"{len(positions)} positions of {len(canvas)} tokens, even half at a time"):
            parts = [self._predictor(canvas, window, part) for part in _halves(positions)]
            return torch.cat(parts)

    def _begin_again(self) -> None:
        """Outside the handler of the error, whose traceback holds what was too much."""
        self._spent += self._predictor.forwards
        if self._left:
            self._make = self._left.pop(0)
        else:
            self.halved = True
        self._predictor = self._make()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _halves(positions: Tensor) -> Iterator[Tensor]:
    middle = (len(positions) + 1) // 2
    yield from (part for part in (positions[:middle], positions[middle:]) if len(part))


def within_memory(events: Iterator[Event]) -> Iterator[Event]:
    """`events`; NoRoom where anything beside the network runs out of memory, as sampling over all rows may."""
    with saying_so("this canvas"):
        yield from events


@contextmanager
def saying_so(what: str) -> Iterator[None]:
    """NoRoom that names `what` in place of the many errors that mean too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        if not is_out_of_memory(exc):
            raise
        raise NoRoom(f"the device ran out of memory for {what}", hint=HINT) from exc


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an error means too little memory; a CPU's allocator raises RuntimeError."""
    return isinstance(exc, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(exc)
