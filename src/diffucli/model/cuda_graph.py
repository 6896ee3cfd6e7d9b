"""Records a window step as a CUDA graph and replays it, which launches all kernels of the step at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffucli.model.memory import Plan

Record = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], None]]]
Step = Callable[[Tensor, Tensor], Tensor]
CLOSE = 1e-2  # tolerance of the first replay, relative to the largest number of the result


class Recorder:
    """Records steps until one fails. record: runs a step and returns its result and a function that updates it.

    trouble: why no step is recorded any more; "" if none failed.
    """

    def __init__(self, record: Record) -> None:
        self._record, self.trouble = record, ""

    def step(self, step: Step, tokens: Tensor, positions: Tensor) -> Step | None:
        """A recorded `step` for tokens and positions of these shapes, or None if it cannot be recorded.

        A result is overwritten by the next call. The first replay is compared with the step itself.
        """
        if self.trouble:
            return None
        held = tokens.clone(), positions.clone()
        try:
            wanted = step(*held)
            result, replay = self._record(lambda: step(*held))
            replay()
            if not bool((result - wanted).abs().max() <= CLOSE * wanted.abs().max()):
                self.trouble = "a replayed step gave other numbers"
        except RuntimeError as exc:  # from the driver, a library, or for lack of memory
            self.trouble = str(exc).partition("\n")[0] or type(exc).__name__
        if self.trouble:
            return None

        def replayed(tokens: Tensor, positions: Tensor) -> Tensor:
            for place, now in zip(held, (tokens, positions), strict=True):
                place.copy_(now)
            replay()
            return result

        return replayed


def recorder(plan: Plan) -> Recorder | None:
    """The recorder for the device of a plan; None if it is no NVIDIA GPU or if layers are offloaded."""
    if not plan.device.startswith("cuda") or plan.offloaded:
        return None
    return Recorder(partial(by_graph, torch.device(plan.device)))


def by_graph(device: torch.device, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Records `run` as a CUDA graph, after the warm-up on another stream that torch requires. Not tried on a GPU."""
    with torch.cuda.device(device):
        now, aside = torch.cuda.current_stream(), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(now)
        with torch.cuda.stream(aside):
            run()
        now.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = run()
    return result, graph.replay
