"""What a step costs in a shape: the whole canvas, a window of a canvas whose keys and values are kept, and sampling.

Knows a network; nothing of where its weights come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import torch

from diffucli.bench.stopwatch import Stopwatch, wait_for
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Progress, Threshold
from diffucli.decode.predict import Full, Windowed
from diffucli.decode.sample import GREEDY, propose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffucli.model.network import Network

CANVAS, ANSWER, WINDOW = 512, 256, 32  # tokens: prompt and answer together, the answer, a block of it
SHAPES: dict[str, dict[str, object]] = {
    "7b": {  # DiffuCoder-7B and Dream-7B
        "model_type": "Dream",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 131072,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-06,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    },
}


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a denoising step. tokens: evaluated; rows: of logits. seconds: the median."""

    name: str
    tokens: int
    rows: int
    seconds: float


def steps(network: Network, *, rounds: int = 5) -> Iterator[Step]:
    """Each part in turn, once before it counts. A GPU is waited for at both ends.

    Where steps are recorded and replayed (see `model.replay`), a window is measured without that too.
    """
    tokens = torch.randint(1, 100, (CANVAS,), device=network.device, generator=_rng(network.device))
    canvas = Canvas(tokens, (Span(CANVAS - ANSWER, CANVAS),), mask=0)
    whole, window = canvas.holes[0], Span(CANVAS - ANSWER, CANVAS - ANSWER + WINDOW)
    every, some = canvas.masked(whole), canvas.masked(window)
    full, kept, rng = Full(network), Windowed(network), _rng(network.device)
    logits = kept(canvas, window, some)

    def sample() -> None:
        Threshold()(propose(logits, GREEDY, rng).here().scores, Progress(0, 1), rng)

    size = WINDOW + network.shift
    parts: list[tuple[str, int, int, Callable[[], object]]] = [
        ("whole canvas", CANVAS, ANSWER, lambda: full(canvas, whole, every)),
        ("window", size, WINDOW, lambda: kept(canvas, window, some)),
    ]
    if network.recorder is not None:
        kept(canvas, window, some)  # so that the one that does not count is the second, which is recorded
        plain = Windowed(replace(network, recorder=None))
        plain(canvas, window, some)
        parts.append(("window, not replayed", size, WINDOW, lambda: plain(canvas, window, some)))
    parts.append(("sampling of a window", 0, WINDOW, sample))
    for name, evaluated, rows, run in parts:
        yield Step(name, evaluated, rows, _seconds(run, network.device, rounds))


def _seconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The median of `rounds`, after one that does not count."""
    run()
    watch, found = Stopwatch(wait=wait_for(device)), []
    for _ in range(rounds):
        watch.start()
        run()
        watch.lap("step")
        found.append(watch.spent.pop("step"))
    return median(found)


def _rng(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)
