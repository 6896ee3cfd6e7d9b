"""Predictors: a canvas and a window become logits for the positions asked for.

The shift and the cache live here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from diffucli.decode.canvas import Canvas, Span


class Network(Protocol):
    """What a predictor asks of a network; see `diffucli.model.network.Network`."""

    @property
    def shift(self) -> int:
        """How far left of a position the output stands that predicts it."""
        ...

    def cache(self, length: int) -> Any:
        """An empty cache for a canvas of `length` positions, opaque here."""
        ...

    def __call__(self, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: Any = None) -> Tensor:
        """Float32 logits `[len(rows), V]` of the outputs `rows` of `tokens`, which stand at `start` and after."""
        ...


class Predictor(Protocol):
    """Logits `[n, V]` for `positions` `[n]` (CPU), all of them inside `window`."""

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """One forward."""
        ...


class Full:
    """Evaluates the whole canvas each time, or all but the far masks.

    suffix: how many masks behind the window stay visible where the canvas ends in masks; None keeps all (DPad).
    """

    def __init__(self, network: Network, *, suffix: int | None = None) -> None:
        self.network, self.suffix = network, suffix

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions`; outputs stand `shift` to the left of what they predict."""
        tokens = canvas.tokens[: visible(canvas, window, self.suffix)]
        rows = (positions - self.network.shift).clamp(min=0)
        return self.network(tokens, rows.to(tokens.device))


class Windowed:
    """Keeps keys and values of the canvas: a new window costs a full forward, the same window again only itself.

    (Fast-dLLM's dual cache, arXiv 2505.22618, with the row left of the window evaluated too, as the shift asks.)
    """

    def __init__(self, network: Network, *, suffix: int | None = None) -> None:
        self.network, self.suffix = network, suffix
        self._seen: tuple[Canvas, Span] | None = None
        self._cache: Any = None

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions`; equal to `Full`'s on a window's first call."""
        shift = self.network.shift
        if self._seen == (canvas, window):
            start, stop = max(window.start - shift, 0), window.stop
        else:
            start, stop = 0, visible(canvas, window, self.suffix)
            self._seen, self._cache = (canvas, window), self.network.cache(stop)
        rows = (positions - shift).clamp(min=0) - start
        tokens = canvas.tokens[start:stop]
        return self.network(tokens, rows.to(tokens.device), start=start, cache=self._cache)


def visible(canvas: Canvas, window: Span, suffix: int | None) -> int:
    """Where the canvas may end while `window` is written: far masks at its very end say nothing."""
    last = canvas.holes[-1]
    if suffix is None or last.stop < len(canvas):
        return len(canvas)
    return max(last.start, min(len(canvas), window.stop + suffix))


def predictor(network: Network, *, cached: bool, suffix: int | None) -> Predictor:
    """The predictor a policy asks for."""
    return Windowed(network, suffix=suffix) if cached else Full(network, suffix=suffix)
