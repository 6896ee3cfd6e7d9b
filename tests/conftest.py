"""What tests of several rooms share: the golden checkpoint and a small network that computes in a formula."""

from __future__ import annotations

import os
import re
import shutil
import signal
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from torch import Tensor

    from diffucli.decode.canvas import Canvas
    from diffucli.events import Event, Finished
    from diffucli.model.load import Checkpoint
    from diffucli.model.network import Network

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and children inherit
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as under nohup
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors here are tiny: threads cost more than they give
settings.register_profile("here", deadline=None, max_examples=50, derandomize=True)  # a busy machine is no failure
settings.load_profile("here")

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "tiny-dream"


@pytest.fixture(scope="session", autouse=True)
def unconfined_where_nothing_confines() -> Generator[None]:
    """Lets code of the tests run on a machine that cannot confine any; tests/sandbox has the refusal."""
    from diffucli import sandbox
    from diffucli.errors import UsageError
    from diffucli.sandbox import run

    def strongest() -> sandbox.Confinement:
        try:
            return real()
        except UsageError:
            return "none"

    real = run.strongest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "strongest", strongest)
        patch.setattr(sandbox, "strongest", strongest)
        yield


@pytest.fixture(autouse=True)
def signal_handlers_are_given_back() -> Generator[None]:
    """A test that leaves a handler behind fails itself, not one that runs later."""
    watched = [number for number in signal.Signals if number.name in {"SIGTERM", "SIGHUP", "SIGTSTP", "SIGINT"}]
    before = {number: signal.getsignal(number) for number in watched}
    yield
    left = {number: signal.getsignal(number) for number in watched}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert left == before


@pytest.fixture(scope="session")
def golden() -> Path:
    """A small random checkpoint in the published layout, with what the reference computes on it."""
    return GOLDEN


@pytest.fixture(scope="session")
def checkpoint(golden: Path) -> Checkpoint:
    from diffucli.model.load import load

    return load(golden, device="cpu")


@pytest.fixture(scope="session")
def golden_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """golden_of("dreamon"): the golden checkpoint of a family; not to be changed."""
    from safetensors.torch import load_file, save_file

    p2 = tmp_path_factory.mktemp("golden") / "tiny-p2"

    def folder(name: str) -> Path:
        if name != "p2":
            return DATA / f"tiny-{name}"
        if not p2.exists():  # the weights of tiny-dreamon; the head is the embedding
            shutil.copytree(DATA / "tiny-p2", p2)
            weights = load_file(DATA / "tiny-dreamon" / "model.safetensors")
            weights.pop("lm_head.weight")
            save_file(weights, p2 / "model.safetensors", metadata={"format": "pt"})
        return p2

    return folder


@pytest.fixture(scope="session")
def checkpoint_of(golden_of: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    """checkpoint_of("dreamon"): the golden checkpoint of a family, loaded."""
    from functools import cache

    from diffucli.model.load import load

    return cache(lambda name: load(golden_of(name), device="cpu"))


@pytest.fixture(scope="session")
def packed(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint in four bits; not to be changed."""
    from diffucli.model.quantize import quantize

    target = tmp_path_factory.mktemp("packed") / "ckpt"
    for _ in quantize(golden, target):
        pass
    return target


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

        return network(tokens[None], [(torch.arange(len(tokens)) - network.shift).clamp(min=0)])

    return logits


@pytest.fixture(scope="session")
def script() -> type[Script]:
    """Makes a Script, which decodes by writing what it is told."""
    return Script


class Script:
    """In place of the loop: writes `texts`, hole by hole, run by run, and the last one from then on.

    Runs on one canvas whose holes differ in length alone write the same, as far as it fits. A repair writes `repair`
    into every mask. canvases, policies, constraints: of the runs; repairs: the canvases of repairs. left: masks that
    stay open. nfe: of a run.
    """

    def __init__(self, checkpoint: Checkpoint, *texts: str, repair: str = "(", left: int = 0, nfe: int = 2) -> None:
        self.tokenizer, self.texts = checkpoint.tokenizer, chain(texts, repeat(texts[-1]))
        (self.repair,), self.left, self.nfe = checkpoint.tokenizer.encode(repair), left, nfe
        self.canvases: list[str] = []
        self.policies: list[object] = []
        self.constraints: list[object] = []
        self.repairs: list[str] = []
        self._told: dict[str, tuple[list[str], set[tuple[int, ...]]]] = {}

    def __call__(self, canvas: Canvas, policy: object, constraints: object) -> Generator[Event, None, Finished]:
        """A run."""
        from diffucli.decode.canvas import Span
        from diffucli.events import Finished, Started, Stepped

        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        shown = self.tokenizer.decode(canvas.tokens.tolist())
        for hole, told in zip(canvas.holes, self._ids(canvas, shown, constraints), strict=True):
            where = canvas.open_masks(hole).tolist()[: len(told)]
            ids = told[: len(where)]
            canvas.commit(where, ids)
            span, scores, sure = (hole.start, hole.stop), (1.0,) * len(ids), (0.0,) * len(ids)
            yield Stepped(1, tuple(where), tuple(ids), scores, span, canvas.masks_left, self.nfe, 0.1, (), sure)
        if shown not in self.repairs:
            self.policies.append(policy)
            self.constraints.append(constraints)
        canvas._open[canvas.open_masks(Span(0, len(canvas)))[self.left :]] = False
        reason = "budget" if self.left else "end"
        yield (finished := Finished(tuple(canvas.tokens.tolist()), reason, self.nfe, 0.25, canvas.spans))
        return finished

    def _ids(self, canvas: Canvas, shown: str, constraints: object) -> list[list[int]]:
        """What to write into each hole."""
        written = sum(len(hole) for hole in canvas.holes) > canvas.masks_left
        if written or getattr(constraints, "banned", ()):
            self.repairs.append(shown)
            return [[self.repair] * len(hole) for hole in canvas.holes]
        self.canvases.append(shown)
        name, sizes = re.sub(r"(<\|mask\|>)+", "?", shown), tuple(len(hole) for hole in canvas.holes)
        if name not in self._told or sizes in self._told[name][1]:
            self._told[name] = [next(self.texts) for _ in sizes], set()
        texts, seen = self._told[name]
        seen.add(sizes)
        return [self.tokenizer.encode(text, special=True) for text in texts]


class FakeNetwork:
    """Logits as a fixed random function of every token and its position, with the cache of a one-layer network.

    Rows of a batch are computed one by one, so they are bit for bit what each is alone. `forwards` lists what each call
    evaluated: (canvases, tokens of each).
    """

    def __init__(self, shift: int = 1, vocab: int = 13) -> None:
        import torch

        rng = torch.Generator().manual_seed(7)
        self.shift, self.block = shift, None
        self.forwards: list[tuple[int, int]] = []
        self.embed, self.place = torch.randn(vocab, 8, generator=rng), torch.randn(512, 8, generator=rng)
        self.head = torch.randn(8, vocab, generator=rng)

    def new_cache(self, slots: int, longest: int, *, old: Tensor | None = None) -> Tensor:
        import torch

        made = torch.full((slots, longest, 8), torch.nan)  # whatever is read before it is written shows
        if old is not None:
            made[: len(old), : old.shape[1]] = old
        return made

    def copy_slot(self, cache: Tensor, source: int, target: int) -> None:
        cache[target] = cache[source]

    def __call__(
        self,
        tokens: Tensor,
        rows: Sequence[Tensor],
        *,
        starts: Sequence[int] = (),
        cache: tuple[Tensor, Sequence[int]] | None = None,
        lengths: Sequence[int] = (),
    ) -> Tensor:
        import torch

        batch, count = tokens.shape
        self.forwards.append((batch, count))
        starts = starts or [0] * batch
        assert batch == len(rows) == len(starts), "one list of rows and one start for each canvas"
        logits = []
        for i, (start, wanted) in enumerate(zip(starts, rows, strict=True)):
            own = self.embed[tokens[i]] * self.place[start : start + count]
            seen = own
            if cache is not None:
                held, slots = cache
                assert start + count <= lengths[i] <= held.shape[1], "the cache has room for the canvas"
                seen = held[slots[i], : lengths[i]].clone()
                seen[start : start + count] = own
                if list(slots).count(slots[i]) == 1:  # parts of one canvas leave its slot as it is
                    held[slots[i], start : start + count] = own
            first = (
                start if cache is not None else 0
            )  # `seen` is the whole canvas, so its numbers never depend on the part
            logits.append((3 * ((seen + 2 * seen.mean(0)).sin() @ self.head))[wanted + first])
        return torch.cat(logits)
