"""Where the time of a step goes: the network and the commit rule that the loop is given are wrapped, and tell the time.

The loop knows nothing of it. What lies between the network's return and the rule's is sampling: rules, propose, commit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from diffucli.bench.stopwatch import BOOKKEEPING, DRAWING, Stopwatch, drawn, wait_for
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import Tensor

    from diffucli.bench.speed import Work
    from diffucli.decode.commit import Progress, Rule
    from diffucli.model.network import Network

NETWORK, SAMPLING = "network", "sampling"
PARTS = (NETWORK, SAMPLING, BOOKKEEPING, DRAWING)


@dataclass(frozen=True, slots=True)
class Shares:
    """Seconds that runs of `name` spent on each of PARTS, in `nfe` forwards."""

    name: str
    nfe: float
    seconds: Mapping[str, float]

    @property
    def parts(self) -> dict[str, float]:
        """Each of PARTS as a share of all; they sum to 1."""
        whole = sum(self.seconds.values())
        return {part: self.seconds[part] / whole for part in PARTS}


def shares(engines: Mapping[str, Engine], work: Work) -> Iterator[Shares]:
    """Shares of each engine in turn, each after one run that does not count. A GPU is waited for at every lap."""
    for name, engine in engines.items():
        watch = Stopwatch(wait=wait_for(engine.checkpoint.network.device))
        timed, piece = _watched(engine, watch), engine.checkpoint.tokenizer.piece
        drawn(work.begin(timed, work.requests[0]), piece, watch)
        watch.spent.clear()
        nfe = 0.0
        for request in [request for _ in range(work.rounds) for request in work.requests]:
            run = work.begin(timed, request)
            watch.start()
            nfe += drawn(run, piece, watch).nfe
            watch.lap(BOOKKEEPING)
        yield Shares(name, nfe, {part: watch.spent[part] for part in PARTS})


def _watched(engine: Engine, watch: Stopwatch) -> Engine:
    """The same engine, whose network and commit rule end laps of `watch`."""
    network = cast("Network", _Network(engine.checkpoint.network, watch))  # it does all that an engine asks of one
    policy = replace(engine.policy, commit=_Rule(engine.policy.commit, watch))
    return Engine(replace(engine.checkpoint, network=network), policy)


@dataclass(frozen=True, slots=True)
class _Network:
    network: Network
    watch: Stopwatch

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def shift(self) -> int:
        return self.network.shift

    def cache(self, length: int) -> Any:
        return self.network.cache(length)

    def __call__(self, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: Any = None) -> Tensor:
        self.watch.lap(BOOKKEEPING)
        logits = self.network(tokens, rows, start=start, cache=cache)
        self.watch.lap(NETWORK)
        return logits


@dataclass(frozen=True, slots=True)
class _Rule:
    rule: Rule
    watch: Stopwatch

    def __call__(self, scores: Tensor, progress: Progress, rng: torch.Generator) -> Tensor:
        chosen = self.rule(scores, progress, rng)
        self.watch.lap(SAMPLING)
        return chosen
