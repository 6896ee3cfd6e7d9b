"""The writers of a comparison: our presets, and the yardsticks they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.reference import PublishedLoop
from diffucli.decode.commit import Threshold
from diffucli.decode.policy import PRESETS, Policy
from diffucli.eval.evaluate import Writer
from diffucli.tasks.engine import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.model.load import Checkpoint

REFERENCE = "reference"
DUAL_CACHE = "dual-cache"
UNREPAIRED = Effort(repair=0, doubt=False)  # the published loop has no other way to write
WRITING = Effort(doubt=False)  # what is measured is writing, not judging
FAST_DLLM = Policy(Threshold(0.9), block=32, cache="dual", stop=False)  # Fast-dLLM, arXiv 2505.22618


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
