"""What tests of several rooms share: the golden checkpoint and a small network that computes in a formula."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from diffucli.model.load import Checkpoint
    from diffucli.model.network import Network

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and children inherit
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as under nohup
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors here are tiny: threads cost more than they give
settings.register_profile("here", deadline=None, max_examples=50, derandomize=True)  # a busy machine is no failure
settings.load_profile("here")

GOLDEN = Path(__file__).parent / "data" / "tiny-dream"


@pytest.fixture(scope="session")
def golden() -> Path:
    """A small random checkpoint in the published layout, with what the reference computes on it."""
    return GOLDEN


@pytest.fixture(scope="session")
def checkpoint(golden: Path) -> Checkpoint:
    from diffucli.model.load import load

    return load(golden, device="cpu")


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Path:
    """A copy of the golden checkpoint to be damaged."""
    return shutil.copytree(golden, tmp_path / "ckpt", ignore=shutil.ignore_patterns("golden-*"))


@pytest.fixture(scope="session")
def fake() -> Callable[..., FakeNetwork]:
    """Makes a FakeNetwork: fake(shift=1, vocab=13)."""
    return FakeNetwork


@pytest.fixture(scope="session")
def everywhere() -> Callable[[Network | FakeNetwork, Tensor], Tensor]:
    """everywhere(network, tokens): logits `[L, V]` at each position of `tokens` `[L]`, the first one's its own."""

    def logits(network: Network | FakeNetwork, tokens: Tensor) -> Tensor:
        import torch

        return network(tokens, (torch.arange(len(tokens)) - network.shift).clamp(min=0))

    return logits


class FakeNetwork:
    """Logits as a fixed random function of every token and its position, with the cache of a one-layer network.

    `forwards` lists how many tokens each call evaluated.
    """

    def __init__(self, shift: int = 1, vocab: int = 13) -> None:
        import torch

        rng = torch.Generator().manual_seed(7)
        self.shift, self.forwards = shift, []
        self.embed, self.place = torch.randn(vocab, 8, generator=rng), torch.randn(512, 8, generator=rng)
        self.head = torch.randn(8, vocab, generator=rng)

    def cache(self, length: int) -> Tensor:
        import torch

        return torch.full((length, 8), torch.nan)  # whatever is read before it is written shows

    def __call__(self, tokens: Tensor, rows: Tensor, *, start: int = 0, cache: Tensor | None = None) -> Tensor:
        self.forwards.append(tokens.shape[-1])
        if tokens.ndim > 1:
            import torch

            caches = [cache if len(tokens) == 1 or cache is None else cache.clone() for _ in tokens]
            return torch.stack([self._alone(*row, rows, start) for row in zip(tokens, caches, strict=True)])
        return self._alone(tokens, cache, rows, start)

    def _alone(self, tokens: Tensor, cache: Tensor | None, rows: Tensor, start: int) -> Tensor:
        own = self.embed[tokens] * self.place[start : start + len(tokens)]
        seen = own
        if cache is not None:
            cache[start : start + len(tokens)] = own
            seen = cache
        return 3 * ((own + 2 * seen.mean(0)).sin() @ self.head)[rows]
