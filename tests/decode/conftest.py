"""What the tests of decoding share: policies of every kind, runs on small canvases, and what a run told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import (
    Decision,
    EntropyBound,
    Factor,
    Independent,
    Threshold,
    TopK,
    linear,
    ranked,
)
from diffucli.decode.loop import denoise
from diffucli.decode.policy import Policy
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints, Sampling
from diffucli.decode.speculate import speculate
from diffucli.events import Event, Finished, Stepped
from diffucli.model import registry
from diffucli.model.load import load

if TYPE_CHECKING:
    from torch import Tensor

    from diffucli.decode.commit import Progress
    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint

MASK, END = 12, 3
HOLES = (Span(3, 9), Span(12, 20))
LAYOUTS = (HOLES, (Span(0, 24),), (Span(0, 1),), (Span(5, 24),), (Span(3, 9), Span(9, 9), Span(9, 14)), ())


@dataclass(frozen=True)
class Restless:
    """A remasking rule: commits the best half, masks a random third of what is written again, all but at the end."""

    asks: ClassVar = "hole"
    scheduled: ClassVar = True
    drawn: ClassVar = True

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        order = ranked(scores)
        open_first = order[masked[order]]
        if progress.last:
            return Decision(open_first)
        again = ~masked & (torch.rand(len(scores), generator=rng) < 1 / 3)
        return Decision(open_first[: (len(open_first) + 1) // 2], again.nonzero()[:, 0])


@dataclass(frozen=True)
class Sisyphus:
    """Writes one mask a step and masks again whatever is written, for ever."""

    asks: ClassVar = "hole"
    scheduled: ClassVar = False
    drawn: ClassVar = False

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        return Decision(masked.nonzero()[:1, 0], (~masked).nonzero()[:, 0])


COMMITS = (
    *(TopK(), TopK(linear), TopK(alg_temp=0.5), Threshold(0.6), Factor(1.0), EntropyBound(0.5), Independent()),
    Restless(),
)
POLICIES = st.builds(
    Policy,
    commit=st.sampled_from(COMMITS),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.3, 1.0]),
        top_p=st.sampled_from([0.5, 1.0]),
        order=st.sampled_from(["confidence", "margin", "entropy", "origin"]),
        tempered=st.booleans(),
    ),
    steps=st.integers(1, 30) | st.none(),
    budget=st.integers(0, 30) | st.none(),
    block=st.integers(1, 30) | st.none(),
    by_line=st.booleans(),
    cache=st.sampled_from(["none", "prefix", "dual"]),
    stop=st.booleans(),
    seed=st.integers(0, 2**32),
    speculate=st.integers(0, 4),
)


@dataclass(frozen=True)
class Request:
    """A run that can be begun any number of times."""

    policy: Policy
    holes: tuple[Span, ...] = HOLES
    length: int = 24
    constraints: Constraints = field(default_factory=lambda: Constraints(forbidden=(MASK,)))

    def canvas(self) -> Canvas:
        ends = frozenset({END}) if self.policy.stop else frozenset()
        return Canvas(torch.arange(self.length) % 11, self.holes, mask=MASK, ends=ends)

    def run(self, canvas: Canvas | None = None) -> Run[Finished]:
        """A run of it, with guesses if the policy says so."""
        constraints = self.constraints
        if self.policy.by_line:
            constraints = replace(constraints, line_ends=torch.tensor([5, 7]))
        run = denoise(canvas or self.canvas(), self.policy, constraints)
        return speculate(run, self.policy) if self.policy.speculate else run


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any policy on canvases of any length with up to three holes; these may resize, and an end may have to wait."""
    edges = sorted(draw(st.lists(st.integers(0, 30), min_size=2, max_size=6)))
    holes = tuple(Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False))
    least = tuple(draw(st.lists(st.integers(0, 4), min_size=len(holes), max_size=len(holes))))
    resizing = Resizing(11, frozenset({8}), draw(st.integers(20, 40)), draw(st.integers(0, 4)))
    constraints = Constraints(
        forbidden=(MASK,), ends=(END,), min_tokens=least, resizing=draw(st.sampled_from([None, resizing]))
    )
    length = edges[-1] + draw(st.integers(1, 4))
    return Request(draw(POLICIES), holes, length, constraints)


def told(events: list[Event]) -> list[Event]:
    """`events` without what others may change: the share of forwards and the time."""
    return [replace(e, nfe=0.0, seconds=0.0) if isinstance(e, Stepped | Finished) else e for e in events]


class Tight:
    """A network with room for so many rows of logits at once; it has spoilt the cache when it fails."""

    def __init__(self, network: Any, rows: int, error: Exception) -> None:
        self.network, self.rows, self.error = network, rows, error
        self.asked: list[int] = []

    @property
    def shift(self) -> int:
        return self.network.shift

    @property
    def block(self) -> int | None:
        return self.network.block

    @property
    def forwards(self) -> list[tuple[int, int]]:
        """Those that there was room for."""
        return self.network.forwards

    def new_cache(self, slots: int, longest: int, *, old: Any = None) -> Any:
        return self.network.new_cache(slots, longest, old=old)

    def copy_slot(self, cache: Any, source: int, target: int) -> None:
        self.network.copy_slot(cache, source, target)

    def __call__(self, tokens: Tensor, rows: list[Tensor], *, starts: Any = (), cache: Any = None, lengths: Any = ()):
        self.asked.append(sum(map(len, rows)))
        if self.asked[-1] > self.rows:
            if cache is not None:
                held, slots = cache
                for slot, start in zip(slots, starts, strict=True):
                    held[slot, start : start + tokens.shape[1] // 2] = 0.0
            raise self.error
        return self.network(tokens, rows, starts=starts, cache=cache, lengths=lengths)


PREFILL = "Here is the code to solve this problem:\n```python\n"


def chat_run(checkpoint: Checkpoint, query: str, length: int, policy: Policy) -> Run[Finished]:
    """A run that answers `query` with code, as `diffu gen` does."""
    vocabulary = checkpoint.tokenizer
    prefix, ends = vocabulary.chat(query, prefill=PREFILL), vocabulary.ends | vocabulary.fences
    hole = Span(len(prefix), len(prefix) + length)
    canvas = Canvas([*prefix, *[0] * length], [hole], mask=vocabulary.mask, ends=ends if policy.stop else frozenset())
    forbidden = tuple(sorted(vocabulary.specials - vocabulary.ends))
    constraints = Constraints(forbidden, vocabulary.vocab_size, ends=tuple(sorted(ends)), min_tokens=(0,))
    run = denoise(canvas, policy, constraints)
    return speculate(run, policy) if policy.speculate else run


@pytest.fixture(scope="session")
def mini() -> Checkpoint:
    """The embedded model."""
    folder = registry.find("mini").folder
    if not (folder / "model.safetensors").exists():
        pytest.skip("mini is not trained yet")
    return load(folder, device="cpu")


@pytest.fixture(scope="session")
def kit():
    """This module, which tests here cannot import by name."""
    import sys

    return sys.modules[__name__]
