"""The writers of a comparison: our presets, and the yardsticks they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.reference import PublishedLoop
from diffucli.decode.commit import Threshold
from diffucli.decode.policy import Policy
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.eval.evaluate import Writer
    from diffucli.model.load import Checkpoint

REFERENCE = "reference"
DUAL_CACHE = "dual-cache"
FAST_DLLM = Policy(Threshold(0.9), block=32, cache="dual", stop=False)  # Fast-dLLM, arXiv 2505.22618


def writers(checkpoint: Checkpoint, policies: Mapping[str, Policy], against: Sequence[str] = ()) -> dict[str, Writer]:
    """The yardsticks `against`, then an engine for each policy, by name.

    REFERENCE: the published loop. DUAL_CACHE: the strongest published recipe without training, run as a policy of our
    own loop: blocks of 32 with a dual cache, threshold 0.9, no early stop.
    """
    yardsticks: dict[str, Callable[[], Writer]] = {
        REFERENCE: lambda: PublishedLoop.of(checkpoint),
        DUAL_CACHE: lambda: Engine(checkpoint, FAST_DLLM),
    }
    return {name: yardsticks[name]() for name in against} | {
        name: Engine(checkpoint, policy) for name, policy in policies.items()
    }
