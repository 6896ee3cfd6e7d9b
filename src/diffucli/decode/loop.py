"""The one decoding loop: predict, propose, commit, tell.

Pulled by its consumer; closing the generator stops the run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from diffucli.decode.commit import Progress
from diffucli.decode.sample import propose
from diffucli.events import Event, Finished, Reason, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.decode.canvas import Canvas, Span
    from diffucli.decode.policy import Policy
    from diffucli.decode.predict import Predictor
    from diffucli.decode.sample import Rules


def denoise(canvas: Canvas, predictor: Predictor, policy: Policy, rules: Rules) -> Iterator[Event]:
    """Writes `canvas` by `policy`: Started, a Stepped for each step, Finished. `rules` say what may not appear.

    A step costs as many forwards as the predictor counts for it; the budget is asked before each step.
    """
    clock, step, before = _Clock(), 0, predictor.forwards
    rng = torch.Generator(canvas.tokens.device).manual_seed(policy.seed)
    order = rng if rng.device.type == "cpu" else torch.Generator().manual_seed(policy.seed)  # rules decide on the CPU
    yield Started(tuple(canvas.tokens.tolist()), canvas.mask, tuple((hole.start, hole.stop) for hole in canvas.holes))
    for window, progress in schedule(canvas, policy):
        if policy.budget is not None and predictor.forwards - before >= policy.budget:
            break
        positions = canvas.masked(window)
        logits = rules(predictor(canvas, window, positions), positions)
        proposal = rules.in_line(propose(logits, policy.sampling, rng).here())
        chosen = policy.commit(proposal.scores, progress, order).sort().values
        where, tokens, scores = (each[chosen].tolist() for each in (positions, proposal.tokens, proposal.scores))
        canvas.commit(where, tokens)
        step, nfe, span = step + 1, predictor.forwards - before, (window.start, window.stop)
        yield Stepped(step, tuple(where), tuple(tokens), tuple(scores), span, canvas.masks_left, nfe, clock())
    reason: Reason = "budget" if canvas.masks_left else "end" if canvas.closed else "complete"
    yield Finished(tuple(canvas.tokens.tolist()), reason, predictor.forwards - before, clock())


def schedule(canvas: Canvas, policy: Policy) -> Iterator[tuple[Span, Progress]]:
    """A window and a place in its schedule for every step, as long as masks are left to be written."""
    total, seen = max(canvas.masks_left, 1), 0
    for window in canvas.blocks(policy.block):
        before, seen = seen, seen + len(canvas.masked(window))
        length = total if policy.steps is None else policy.steps
        steps = max(length * seen // total - length * before // total, 1)
        index = 0
        while len(canvas.masked(window)):
            yield window, Progress(index, steps)
            index += 1


class _Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self._begun
