"""The writers of a comparison: our presets, and the yardsticks they are compared with.

A writer has its checkpoint in hand, so that what is measured is writing alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.batch.worker import writing
from diffucli.bench.reference import PublishedLoop
from diffucli.decode.commit import Threshold
from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS, Policy
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS, Request, generate
from diffucli.tasks.prompt import PYTHON
from diffucli.tasks.write import Decode, default_decode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from diffucli.batch.rows import FillRow, GenRow
    from diffucli.decode.loop import Run
    from diffucli.events import Event
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Result
    from diffucli.tasks.verify import Verify

REFERENCE = "reference"
DUAL_CACHE = "dual-cache"
UNREPAIRED = Effort(repair=0, doubt=False)  # the published loop has no other way to write
WRITING = Effort(doubt=False)  # what is measured is writing, not judging
FAST_DLLM = Policy(Threshold(0.9), block=32, cache="dual", stop=False)  # Fast-dLLM, arXiv 2505.22618


@dataclass(frozen=True, slots=True)
class Writer:
    """A checkpoint, the policy that it writes by, and the decoding: our loop, or a reference in its place.

    effort: candidates and repairs.
    """

    checkpoint: Checkpoint
    policy: Policy
    decode: Decode = default_decode
    effort: Effort = DEFAULT_EFFORT

    def answer(
        self, request: str, *, length: int | None = None, min_tokens: int = 0, verify: Verify = "error"
    ) -> Generator[Event, None, Result]:
        """The events of an answer to `request`, and its result. length: masks for it; None: the default."""
        wanted = Request(request, PYTHON, length or DEFAULT_ANSWER_TOKENS, min_tokens, verify)
        run = generate(self.checkpoint, wanted, self.policy, effort=self.effort, decode=self.decode)
        return alone(self.checkpoint.network, run)

    def run(self, asks: GenRow | FillRow) -> Run[Result]:
        """The run that writes what a row asks for, as the commands do."""
        return writing(self.checkpoint, asks, self.policy, effort=self.effort, decode=self.decode)


def writers(checkpoint: Checkpoint, policies: Mapping[str, Policy], against: Sequence[str] = ()) -> dict[str, Writer]:
    """The yardsticks `against`, then a writer for each policy, by name.

    REFERENCE: the published loop. DUAL_CACHE: the strongest published recipe without training, run as a policy of our
    own loop: blocks of 32 with a dual cache, threshold 0.9, no early stop.
    """
    yardsticks: dict[str, Callable[[], Writer]] = {
        REFERENCE: lambda: Writer(checkpoint, PRESETS["exact"], PublishedLoop.of(checkpoint), effort=UNREPAIRED),
        DUAL_CACHE: lambda: Writer(checkpoint, FAST_DLLM, effort=WRITING),
    }
    return {name: yardsticks[name]() for name in against} | {
        name: Writer(checkpoint, policy, effort=WRITING) for name, policy in policies.items()
    }
