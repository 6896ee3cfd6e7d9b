"""The pipeline that every task shares: candidates are written, read, judged and repaired; the best one is the result.

Knows nothing of terminals or files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from diffucli import files
from diffucli.decode.lanes import side_by_side
from diffucli.decode.policy import repair_policy
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints
from diffucli.errors import UsageError
from diffucli.tasks.attempt import Attempt, FailedTest, badness
from diffucli.tasks.doubt import UNKNOWN, Doubted, doubt_of
from diffucli.tasks.repair import repaired
from diffucli.tasks.verify import Check, Refused
from diffucli.tasks.write import as_last_canvas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.attempt import Judged
    from diffucli.tasks.doubt import Doubt, Kind
    from diffucli.tasks.write import Decoding, RunOutput

MAX_CONTEXT_FACTOR = 2  # a canvas may be this many times what the checkpoint was trained for
MAX_CANDIDATES = 32  # rows of one batch
VARIED = 0.7  # temperature of all candidates but the first, if none is given


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for a text.

    candidates: texts to choose from; the first is written as if it were alone, the others with the next seeds, and at
    temperature 0.7 where none is given. repair: rounds of repair without progress. pick: "best" is the one with the
    fewest faults, then the likeliest; "first" keeps the order of the seeds. test: judges texts that have no syntax
    errors, all at once. doubt: whether the candidates are read again, which tells how sure they are.
    """

    candidates: int = 1
    repair: int = 2
    pick: Literal["best", "first"] = "best"
    test: Callable[[Sequence[str]], Sequence[Judged]] | None = None
    doubt: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no number of candidates or rounds. Raises UsageError."""
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            message = f"{self.candidates} is no number of candidates"
            raise UsageError(message, hint=f"give one from 1 to {MAX_CANDIDATES}")
        if self.repair < 0:
            raise UsageError(f"{self.repair} is no number of rounds of repair", hint="0 switches repair off")


DEFAULT_EFFORT = Effort()


@dataclass(frozen=True, slots=True)
class Task:
    """What the pipeline needs to know of a task.

    kind: which calibration of doubt it has; to mend the faults of a text is worth more effort. first: writes a first
    text by a policy. read: makes a text of what was written, and judges it. repairing: how repairs are written, but for
    their policy.
    """

    kind: Kind
    first: Callable[[Policy], Run[Attempt]]
    read: Callable[[RunOutput], Attempt]
    repairing: Decoding


@dataclass(frozen=True, slots=True)
class Result:
    """A finished task: the best of its candidates, and what all of them cost.

    text: the new code, or the whole new text of a file; pieces: of each hole. check: what verification found.
    candidates: the last version of each, the best one first. attempts: every version of every candidate. model: the
    checkpoint's name. policy: how the first candidate was written. seconds: wall time. doubt: how sure the text is.
    rereading: forwards that reading it again took. notes: what the user should know of the run.
    """

    candidates: tuple[Attempt, ...]
    attempts: tuple[Attempt, ...]
    model: str
    policy: Policy
    seconds: float
    doubt: Doubt
    rereading: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> Attempt:
        """The attempt that the text is from."""
        return self.candidates[0]

    @property
    def text(self) -> str:
        """The new code, or the whole new text of a file."""
        return self.chosen.text

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text of each hole."""
        return self.chosen.pieces

    @property
    def ended(self) -> bool:
        """Whether the text came to its end by itself."""
        return self.chosen.ended

    @property
    def check(self) -> Check:
        """What verification found."""
        return self.chosen.check

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
        """Forwards of all attempts, and of reading the text again."""
        return sum(attempt.written.nfe for attempt in self.attempts) + self.rereading

    def accepted(self, *, strict: bool = False) -> Result:
        """The result itself. Refused, FailedTest, Doubted: its text must not be written. strict: doubt is refused."""
        if self.check.refused:
            raise Refused(self.text, self.check)
        tested = self.chosen.tested
        if tested is not None and tested.refused:
            raise FailedTest(self.text, tested, len(self.candidates))
        if strict and self.doubt.doubtful:
            raise Doubted(self.text, self.doubt)
        return self

    def acceptable(self, *, strict: bool = False) -> list[Attempt]:
        """The candidates that may be written, those of equal text once. Raises as `accepted` if there are none."""
        chosen = {each.text: each for each in reversed(self.candidates) if not _is_refused(each, strict=strict)}
        return list(reversed(chosen.values())) or [self.accepted(strict=strict).chosen]


def solve(
    checkpoint: Checkpoint, task: Task, policy: Policy, effort: Effort = DEFAULT_EFFORT, notes: Sequence[str] = ()
) -> Run[Result]:
    """Writes, judges and repairs as many candidates as `effort` says, all at once; the best one first."""
    begun = time.perf_counter()
    versions = yield from side_by_side(
        [_candidate(task, each, effort.repair) for each in policies(policy, effort.candidates)], beside=True
    )
    best = _tested([min(each, key=badness) for each in versions], effort)
    if effort.pick == "best":
        best.sort(key=badness)
    attempts = tuple(attempt for each in versions for attempt in each)
    if len(attempts) > 1:
        yield from as_last_canvas(best[0].written, checkpoint.tokenizer.mask, nfe=0.0)
    rereading = 0.0
    if effort.doubt:
        readings = [
            doubt_of(checkpoint, each.written, task.kind, repairs=each.rounds, warnings=len(each.warnings))
            for each in best
        ]
        doubts = yield from side_by_side(readings, shown=None)
        best = [replace(each, doubt=doubt) for each, (doubt, _) in zip(best, doubts, strict=True)]
        rereading = sum(nfe for _, nfe in doubts)
    name, seconds = files.real(checkpoint.folder).name, time.perf_counter() - begun
    doubt = best[0].doubt or UNKNOWN
    return Result(tuple(best), attempts, name, policy, seconds, doubt, rereading, tuple(notes))


def _tested(candidates: list[Attempt], effort: Effort) -> list[Attempt]:
    """The candidates with what the test says of those without syntax errors."""
    texts = list(dict.fromkeys(each.text for each in candidates if not each.check.faults))
    if effort.test is None or not texts:
        return candidates
    found = dict(zip(texts, effort.test(texts), strict=True))
    return [replace(each, tested=found.get(each.text)) for each in candidates]


def _is_refused(attempt: Attempt, *, strict: bool) -> bool:
    is_doubtful = strict and attempt.doubt is not None and attempt.doubt.doubtful
    return is_doubtful or attempt.check.refused or (attempt.tested is not None and attempt.tested.refused)


def policies(policy: Policy, count: int) -> list[Policy]:
    """`policy` and variants of it with the next seeds; without a temperature the variants get one."""
    sampling = policy.sampling
    if sampling.temperature == 0 and not policy.commit.drawn:
        sampling = replace(sampling, temperature=VARIED)
    return [policy, *(replace(policy, sampling=sampling, seed=policy.seed + i) for i in range(1, count))]


def _candidate(task: Task, policy: Policy, rounds: int) -> Run[list[Attempt]]:
    """The versions of one candidate: the first text and what repair made of it."""
    first = yield from task.first(policy)
    careful = repair_policy(policy)
    if careful is None or not rounds:
        return [first]
    decoding = replace(task.repairing, policy=careful)
    mends = task.kind == "mend"
    return (yield from repaired(decoding, first, task.read, rounds=rounds + mends, thorough=mends))


def fitted(policy: Policy, checkpoint: Checkpoint) -> Policy:
    """`policy` for a checkpoint: where attention is block-causal, no window is longer than a block."""
    block = checkpoint.family.block
    if block is None or (policy.block is not None and policy.block <= block):
        return policy
    return replace(policy, block=block)


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
    if policy.ends == "never":
        ends, forbidden = ends - tokenizer.padding, forbidden | tokenizer.padding
    return Constraints(
        tuple(sorted(forbidden)),
        tokenizer.vocab_size,
        ends=tuple(sorted(ends)),
        min_tokens=tuple(min_tokens),
        line_ends=torch.tensor(tokenizer.line_ends) if policy.by_line else None,
        late=tuple(sorted(ends & tokenizer.ends)) if policy.ends == "late" else (),
    )


def growing(
    constraints: Constraints, checkpoint: Checkpoint, policy: Policy, bounds: Sequence[tuple[int, int]]
) -> Constraints:
    """`constraints` with holes that may grow and shrink within `bounds`, the fewest and the most tokens of each.

    Only for checkpoints that have a token for it; their end tokens take a position away.
    """
    tokenizer = checkpoint.tokenizer
    assert checkpoint.family.expand is not None, "only some holes grow"
    expand, delete = tokenizer.special(checkpoint.family.expand), tokenizer.padding
    budget = 2 * policy.max_length if policy.expand_budget is None else policy.expand_budget
    longest = MAX_CONTEXT_FACTOR * checkpoint.config.context
    return replace(
        constraints,
        forbidden=tuple(sorted({*constraints.forbidden} - delete - {expand})),
        ends=tuple(sorted({*constraints.ends} - delete)),
        resizing=Resizing(expand, delete, longest, budget, tuple(bounds)),
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
