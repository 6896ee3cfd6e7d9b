"""Who writes in a comparison: presets of ours, and what they are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.reference import Published
from diffucli.decode.commit import Threshold
from diffucli.decode.policy import Policy
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffucli.eval.evaluate import Writer
    from diffucli.model.load import Checkpoint

REFERENCE = "reference"
DUAL_CACHE = "dual-cache"
FAST_DLLM = Policy(Threshold(0.9), block=32, cache="dual", stop=False)  # arXiv 2505.22618, with its dual cache


def writers(checkpoint: Checkpoint, policies: Mapping[str, Policy], against: Sequence[str] = ()) -> dict[str, Writer]:
    """Yardsticks first, then an engine for each policy, by their names.

    REFERENCE: the published loop. DUAL_CACHE: the strongest published recipe without training: blocks of 32 with a dual
    cache, all that is surer than 0.9 in a step, no early stop, every mask visible. It is a policy of our own loop.
    """
    yardsticks: dict[str, Callable[[], Writer]] = {
        REFERENCE: lambda: Published.of(checkpoint),
        DUAL_CACHE: lambda: Engine(checkpoint, FAST_DLLM),
    }
    return {name: yardsticks[name]() for name in against} | {
        name: Engine(checkpoint, policy) for name, policy in policies.items()
    }
