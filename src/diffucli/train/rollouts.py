"""Rollouts: completions of requests, written by the product's own pipeline and driver, all rows together.

Knows no rewards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from diffucli.decode.canvas import Span
from diffucli.decode.lanes import watched
from diffucli.decode.loop import Returned, together
from diffucli.errors import UsageError
from diffucli.events import Beside, Finished
from diffucli.tasks.engine import MAX_CANDIDATES, Effort
from diffucli.tasks.generate import Request, generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Result


@dataclass(frozen=True, slots=True)
class Completion:
    """What was written for a request.

    canvas: the last one, prompt and completion. span: of the completion. scored: how many of its tokens count, up to
    and with the first end token; those behind it do not. text: the code. ended: it came to its end by itself.
    parses: whether it is Python. nfe: forwards.
    """

    canvas: tuple[int, ...]
    span: Span
    scored: int
    text: str
    ended: bool
    parses: bool
    nfe: float


def seed_of(*parts: object) -> int:
    """A seed that depends on all of `parts`, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


def generator_of(*parts: object) -> torch.Generator:
    """A generator on the CPU, seeded by `seed_of`: no draw depends on another one, or on the process that makes it."""
    return torch.Generator().manual_seed(seed_of(*parts))


def require_group(count: int, policy: Policy) -> None:
    """UsageError: `count` completions by `policy` are no group whose rewards can differ."""
    if not 2 <= count <= MAX_CANDIDATES:
        message = f"a group of {count} has no advantages" if count < 2 else f"a group of {count} is too large"
        raise UsageError(message, hint=f"give --num-generations from 2 to {MAX_CANDIDATES}")
    if policy.sampling.temperature == 0 and not policy.commit.drawn:
        raise UsageError("without a temperature all completions of a request are the same", hint="add --temp 1.0")


def roll_out(
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    policy: Policy,
    *,
    seeds: Sequence[int],
    count: int,
) -> list[list[Completion]]:
    """`count` completions of each request, those of all requests at once. seeds: of each request's first completion."""
    effort = Effort(candidates=count, repair=0, pick="first", doubt=False)
    runs = [
        _completions(checkpoint, request, replace(policy, seed=seed), effort)
        for request, seed in zip(requests, seeds, strict=True)
    ]
    found: dict[int, list[Completion]] = {}
    for number, item in together(checkpoint.network, runs):
        if isinstance(item, Returned):
            found[number] = item.result
    return [found[number] for number in range(len(runs))]


def _completions(checkpoint: Checkpoint, request: Request, policy: Policy, effort: Effort) -> Run[list[Completion]]:
    """The completions that the pipeline writes as candidates, with the last canvas of each."""
    last: dict[int, Finished] = {}

    def see(event: Event) -> None:
        number, inner = (event.number, event.event) if isinstance(event, Beside) else (0, event)
        if isinstance(inner, Finished):
            last.setdefault(number, inner)  # the canvas of the best one is shown again at the end

    result = yield from watched(generate(checkpoint, request, policy, effort=effort), see)
    ends = checkpoint.tokenizer.ends | checkpoint.tokenizer.fences
    return _with_canvases(result, [last[i] for i in range(effort.candidates)], ends)


def _with_canvases(result: Result, canvases: Sequence[Finished], ends: frozenset[int]) -> list[Completion]:
    found = []
    for attempt, finished in zip(result.candidates, canvases, strict=True):
        ((start, stop),) = finished.holes
        written = finished.tokens[start:stop]
        scored = next((i + 1 for i, token in enumerate(written) if token in ends), len(written))
        parses = bool(attempt.check.result.parses) and not attempt.check.faults
        found.append(
            Completion(
                finished.tokens, Span(start, stop), scored, attempt.text, attempt.ended, parses, attempt.written.nfe
            )
        )
    return found
