"""Predictors: a canvas and a window become logits for the positions asked for.

The shift and the cache live here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from diffucli.decode.canvas import Canvas, Span


Cache = Literal["none", "prefix", "dual"]


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
        """Float32 logits `[…, len(rows), V]` of the outputs `rows` of `tokens` `[…, n]`, at `start` and after."""
        ...


class Predictor(Protocol):
    """Logits `[n, V]` for `positions` `[n]` (CPU), all of them inside `window`."""

    @property
    def forwards(self) -> int:
        """Forwards spent so far."""
        ...

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """One forward as a rule."""
        ...


class Batched(Predictor, Protocol):
    """A predictor that can evaluate several canvases, alike outside the window, in one forward."""

    def batch(self, tokens: Tensor, positions: Tensor, *, canvas: Canvas, window: Span) -> Tensor:
        """Logits `[…, n, V]` for `positions` `[n]` in each of `tokens` `[…, L]`, which `canvas` might hold."""
        ...


class Full:
    """Evaluates the whole canvas each time, or all but the far masks.

    suffix: how many masks behind the window stay visible where the canvas ends in masks; None keeps all (DPad).
    """

    def __init__(self, network: Network, *, suffix: int | None = None) -> None:
        self.network, self.suffix, self.forwards = network, suffix, 0

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions`; outputs stand `shift` to the left of what they predict."""
        return self.batch(canvas.tokens, positions, canvas=canvas, window=window)

    def batch(self, tokens: Tensor, positions: Tensor, *, canvas: Canvas, window: Span) -> Tensor:
        """Logits `[…, n, V]` for `positions` in each of `tokens` `[…, L]`."""
        rows = (positions - self.network.shift).clamp(min=0).to(tokens.device)
        logits = self.network(tokens[..., : visible(canvas, window, self.suffix)], rows)
        self.forwards += 1
        return logits


class Windowed:
    """Keeps keys and values of the canvas: a new window costs a full forward, the same window again only a part.

    dual: that part is the window; else it is the window and all behind it, which then sees what is written.
    (Fast-dLLM's two caches, arXiv 2505.22618, with the row left of the window evaluated too, as the shift asks.)
    """

    def __init__(self, network: Network, *, suffix: int | None = None, dual: bool = True) -> None:
        self.network, self.suffix, self.dual, self.forwards = network, suffix, dual, 0
        self._seen: tuple[Canvas, Span] | None = None
        self._cache: Any = None
        self._length = 0

    def __call__(self, canvas: Canvas, window: Span, positions: Tensor) -> Tensor:
        """Logits `[n, V]` for `positions`; equal to `Full`'s on a window's first call."""
        return self.batch(canvas.tokens, positions, canvas=canvas, window=window)

    def batch(self, tokens: Tensor, positions: Tensor, *, canvas: Canvas, window: Span) -> Tensor:
        """Logits `[…, n, V]` for `positions` in each of `tokens` `[…, L]`; just one on a window's first call."""
        shift, start, stop = self.network.shift, 0, visible(canvas, window, self.suffix)
        if self._seen == (canvas, window):
            start, stop = max(window.start - shift, 0), window.stop if self.dual else stop
        else:
            assert tokens.ndim == 1 or len(tokens) == 1, "keys and values are those of one canvas"
            self._seen = canvas, window
            if self._length != stop:  # else it is written anew where it is: what is recorded of it stays good
                self._length, self._cache = stop, self.network.cache(stop)
        rows = ((positions - shift).clamp(min=0) - start).to(tokens.device)
        logits = self.network(tokens[..., start:stop], rows, start=start, cache=self._cache)
        self.forwards += 1
        return logits


def visible(canvas: Canvas, window: Span, suffix: int | None) -> int:
    """Where the canvas may end while `window` is written: far masks at its very end say nothing."""
    last = canvas.holes[-1]
    if suffix is None or last.stop < len(canvas):
        return len(canvas)
    return max(last.start, min(len(canvas), window.stop + suffix))


def predictor(network: Network, *, cache: Cache, suffix: int | None) -> Batched:
    """The predictor a policy asks for."""
    if cache == "none":
        return Full(network, suffix=suffix)
    return Windowed(network, suffix=suffix, dual=cache == "dual")
