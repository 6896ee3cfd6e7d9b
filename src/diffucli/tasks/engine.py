"""The pipeline that every task shares: a layout is written, read, verified, and written again where it was refused.

Knows nothing of terminals or files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import torch

from diffucli.decode.canvas import Canvas
from diffucli.decode.loop import denoise
from diffucli.decode.policy import Policy, retry_policy
from diffucli.decode.sample import Constraints
from diffucli.decode.speculate import speculate
from diffucli.errors import UsageError
from diffucli.events import Finished, Started
from diffucli.tasks.verify import Check, Refused

if TYPE_CHECKING:
    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.prompt import Layout

MAX_CONTEXT_FACTOR = 2  # a canvas may be this many times what the checkpoint was trained for
Decode = Callable[[Canvas, Policy, Constraints], "Run[Finished]"]


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What a run wrote. holes: the token ids of each hole up to its first end token, without masks.

    ended: for each hole, whether an end token closed it. tokens: how many are text. masks: of the canvas at first.
    masks_left: those that a budget left unwritten. nfe, seconds: of the run.
    """

    holes: tuple[tuple[int, ...], ...]
    ended: tuple[bool, ...]
    tokens: int
    masks: int
    masks_left: int
    nfe: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task. text: as a whole; pieces: of each hole. ended: the text came to its end by itself."""

    text: str
    pieces: tuple[str, ...]
    ended: bool
    check: Check
    written: RunOutput


@dataclass(frozen=True, slots=True)
class Result:
    """A finished task: the best of its attempts, and what all of them cost.

    text: the new code, or the whole new text of a file; pieces: of each hole. check: what verification found. model:
    the checkpoint's name. policy: how the first attempt was written. notes: what the user should know of the run.
    """

    text: str
    pieces: tuple[str, ...]
    ended: bool
    check: Check
    attempts: tuple[Attempt, ...]
    model: str
    policy: Policy
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the text was checked and nothing is wrong with it."""
        return self.check.result.checked and not self.check.message

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        return self.policy.seed

    @property
    def nfe(self) -> float:
        """Forwards of all attempts."""
        return sum(attempt.written.nfe for attempt in self.attempts)

    @property
    def seconds(self) -> float:
        """Wall time of all attempts."""
        return sum(attempt.written.seconds for attempt in self.attempts)

    @property
    def chosen(self) -> Attempt:
        """The attempt that the text is from."""
        return pick(self.attempts)

    def accepted(self) -> Result:
        """The result itself. Refused: its text must not be written."""
        if self.check.refused:
            raise Refused(self.text, self.check)
        return self


def attempt_and_retry(
    checkpoint: Checkpoint, attempt: Callable[[Policy], Run[Attempt]], policy: Policy, notes: Sequence[str] = ()
) -> Run[Result]:
    """Makes an attempt by `policy`, and one more by its `retry_policy` if the first is refused."""
    attempts = [(yield from attempt(policy))]
    if attempts[0].check.refused and (again := retry_policy(policy)) is not None:
        attempts.append((yield from attempt(again)))
        notes = (*notes, "the first text did not parse; it was written again with more care")
    best = pick(attempts)
    name = checkpoint.folder.resolve().name
    return Result(best.text, best.pieces, best.ended, best.check, tuple(attempts), name, policy, tuple(notes))


def pick(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt with the fewest faults, the latest of equals."""
    return min(reversed(attempts), key=lambda attempt: attempt.check.faults)


def write(
    checkpoint: Checkpoint, layout: Layout, constraints: Constraints, policy: Policy, decode: Decode
) -> Run[RunOutput]:
    """Writes the holes of `layout`."""
    ends = frozenset(constraints.ends)
    canvas = Canvas(
        layout.tokens, layout.holes, mask=checkpoint.tokenizer.mask, ends=ends if policy.stop else frozenset()
    )
    masks = canvas.masks_left
    run = decode(canvas, policy, constraints)
    started = next(run)
    assert isinstance(started, Started), "a run begins with Started"
    yield replace(started, shown=(layout.shown.start, layout.shown.stop), ends=ends)
    finished = yield from run
    contents = [finished.tokens[start:stop] for start, stop in finished.holes]
    texts = [_until(checkpoint.tokenizer.ends, content) for content in contents]
    return RunOutput(
        holes=tuple(tuple(token for token in text if token != canvas.mask) for text in texts),
        ended=tuple(len(text) < len(content) for text, content in zip(texts, contents, strict=True)),
        tokens=sum(token != canvas.mask for content in contents for token in _until(ends, content)),
        masks=masks,
        masks_left=canvas.masks_left,
        nfe=finished.nfe,
        seconds=finished.seconds,
    )


def _until(ends: Collection[int], tokens: Sequence[int]) -> list[int]:
    """`tokens` before the first of `ends`."""
    return list(takewhile(lambda token: token not in ends, tokens))


def default_decode(canvas: Canvas, policy: Policy, constraints: Constraints) -> Run[Finished]:
    """The decoding loop, with guesses where the policy says so."""
    run = denoise(canvas, policy, constraints)
    return speculate(run, policy) if policy.speculate else run


def constraints_of(
    checkpoint: Checkpoint,
    policy: Policy,
    *,
    ends: frozenset[int],
    forbidden: frozenset[int],
    min_tokens: Sequence[int],
) -> Constraints:
    """What may not be written with this checkpoint. min_tokens: of each hole, before which it may not end."""
    tokenizer = checkpoint.tokenizer
    return Constraints(
        tuple(sorted(forbidden)),
        tokenizer.vocab_size,
        ends=tuple(sorted(ends)),
        min_tokens=tuple(min_tokens),
        line_ends=torch.tensor(tokenizer.line_ends) if policy.by_line else None,
    )


def check_length(checkpoint: Checkpoint, length: int) -> tuple[str, ...]:
    """A note where a canvas is longer than what the checkpoint was trained for. UsageError: far longer."""
    trained = checkpoint.config.context
    if length > (longest := MAX_CONTEXT_FACTOR * trained):
        raise UsageError(
            f"prompt and canvas are {length} tokens long, more than the {longest} the model can take",
            hint="give it less context, a smaller region or a smaller --length",
        )
    return (f"{length} tokens, beyond the {trained} the model was trained for",) if length > trained else ()
