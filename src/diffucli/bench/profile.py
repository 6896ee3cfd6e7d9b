"""Where the time of a step goes: the network and the commit rule are wrapped and report their time.

The loop does not know. The time between the network's return and the commit rule's is sampling: token rules,
proposals and the commit rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from diffucli.bench.report import Findings
from diffucli.bench.stopwatch import BOOKKEEPING, DRAWING, Stopwatch, drawn, wait_for
from diffucli.lab import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from torch import Tensor

    from diffucli.bench.speed import Work
    from diffucli.bench.writers import Writer
    from diffucli.decode.commit import Asks, Decision, Progress, Rule
    from diffucli.model.network import Network

NETWORK, SAMPLING = "network", "sampling"
PARTS = (NETWORK, SAMPLING, BOOKKEEPING, DRAWING)


@dataclass(frozen=True, slots=True)
class Profile:
    """The time that the runs of one policy took.

    name: Name of the policy.
    nfe: Number of forwards.
    seconds: Wall time by part, for each of PARTS.
    """

    name: str
    nfe: float
    seconds: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Each part as a share of the whole; they sum to 1."""
        total = sum(self.seconds.values())
        return {part: self.seconds[part] / total for part in PARTS}


def profiles(writers: Mapping[str, Writer], work: Work) -> Iterator[Profile]:
    """Profiles each writer in turn, after one run that does not count. A GPU is synchronized at every lap."""
    for name, writer in writers.items():
        watch = Stopwatch(wait=wait_for(writer.checkpoint.network.device))
        timed, piece = _timed(writer, watch), writer.checkpoint.tokenizer.piece
        drawn(work.begin(timed, work.requests[0]), piece, watch)
        watch.spent.clear()
        nfe = 0.0
        for request in work.all_requests:
            events = work.begin(timed, request)
            watch.start()
            nfe += drawn(events, piece, watch).nfe
        yield Profile(name, nfe, {part: watch.spent[part] for part in PARTS})


def findings(found: Sequence[Profile]) -> Findings:
    """A table of shares with one row per policy."""
    rows = [[each.name, *(f"{each.shares[part]:.1%}" for part in PARTS)] for each in found]
    values = [{"name": each.name, "nfe": each.nfe, "seconds": each.seconds, "shares": each.shares} for each in found]
    return Findings(markdown.table(["preset", *PARTS], rows), {"profile": values})


def _timed(writer: Writer, watch: Stopwatch) -> Writer:
    """The same writer with a network and a commit rule that end laps of `watch`."""
    network = cast("Network", _TimedNetwork(writer.checkpoint.network, watch))  # it has all that decoding uses
    policy = replace(writer.policy, commit=_TimedRule(writer.policy.commit, watch))
    return replace(writer, checkpoint=replace(writer.checkpoint, network=network), policy=policy)


@dataclass(frozen=True, slots=True)
class _TimedNetwork:
    network: Network
    watch: Stopwatch

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def shift(self) -> int:
        return self.network.shift

    @property
    def block(self) -> int | None:
        return self.network.block

    def new_cache(self, slots: int, longest: int, *, old: Any = None) -> Any:
        return self.network.new_cache(slots, longest, old=old)

    def copy_slot(self, cache: Any, source: int, target: int) -> None:
        self.network.copy_slot(cache, source, target)

    def __call__(self, tokens: Tensor, rows: Sequence[Tensor], **cached: Any) -> Tensor:
        self.watch.lap(BOOKKEEPING)
        logits = self.network(tokens, rows, **cached)
        self.watch.lap(NETWORK)
        return logits


@dataclass(frozen=True, slots=True)
class _TimedRule:
    rule: Rule
    watch: Stopwatch

    @property
    def asks(self) -> Asks:
        return self.rule.asks

    @property
    def scheduled(self) -> bool:
        return self.rule.scheduled

    @property
    def drawn(self) -> bool:
        return self.rule.drawn

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        decision = self.rule(scores, masked, progress, rng)
        self.watch.lap(SAMPLING)
        return decision
