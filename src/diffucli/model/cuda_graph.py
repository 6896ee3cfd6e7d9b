"""Window steps recorded once and replayed, so that a GPU is told of all its kernels at once, not of each by Python.

The step must read what changes, tokens and positions, from memory that stays where it is; see `Recorder.step`.
"""

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
CLOSE = 1e-2  # how far a replay may be from the step itself, relative to its largest number


class Recorder:
    """Records steps by `record`, which gives where the result will stand and what computes it anew, until one fails.

    trouble: why no step is recorded any more; "" where nothing is wrong.
    """

    def __init__(self, record: Record) -> None:
        self._record, self.trouble = record, ""

    def step(self, step: Step, tokens: Tensor, positions: Tensor) -> Step | None:
        """`step` for any tokens and positions of these shapes, or None where it cannot be recorded.

        A result holds until the next one is computed. The first replay is compared with the step itself.
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
        except RuntimeError as exc:  # whatever a driver, a library or too little memory has against it
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
    """What records on the device of a plan; None on others than NVIDIA's, and where layers come and go."""
    if not plan.device.startswith("cuda") or plan.offloaded:
        return None
    return Recorder(partial(by_graph, torch.device(plan.device)))


def by_graph(device: torch.device, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """A Record by a CUDA graph, after the warm-up on a stream of its own that torch asks for.

    Not tried on a GPU yet: none was at hand.
    """
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
