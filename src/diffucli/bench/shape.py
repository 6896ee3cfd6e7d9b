"""What the parts of a denoising step cost: the whole canvas, a window with a KV cache, and sampling.

Does not know where the weights come from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import torch

from diffucli.bench.report import Findings
from diffucli.bench.stopwatch import Stopwatch, wait_for
from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Progress, Threshold
from diffucli.decode.predict import Predictor, Query
from diffucli.decode.sample import GREEDY, propose
from diffucli.lab import markdown
from diffucli.model.names import LLADA, OPEN_DCODER, SEVEN_B, STABLE_DIFFCODER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.model.config import Config
    from diffucli.model.memory import Plan
    from diffucli.model.network import Network

CANVAS, ANSWER, WINDOW = 512, 256, 32  # tokens of the canvas, of the answer at its end, and of the first block of it
SHAPES = {"7b": SEVEN_B, "open-dcoder": OPEN_DCODER, "stable-diffcoder": STABLE_DIFFCODER, "llada": LLADA}


@dataclass(frozen=True, slots=True)
class StepTime:
    """What a part of a denoising step costs.

    name: Name of the part.
    tokens: Number of positions that the network evaluates.
    rows: Number of positions with logits.
    seconds: Median wall time.
    """

    name: str
    tokens: int
    rows: int
    seconds: float


def steps(network: Network, *, rounds: int = 5) -> Iterator[StepTime]:
    """Times each part `rounds` times, after once that does not count. A GPU is synchronized before and after.

    If the network replays CUDA graphs, a window is also timed without them.
    """
    tokens = torch.randint(1, 100, (CANVAS,), generator=torch.Generator().manual_seed(0))
    canvas = Canvas(tokens, (Span(CANVAS - ANSWER, CANVAS),), mask=0)
    whole, window = canvas.holes[0], Span(CANVAS - ANSWER, CANVAS - ANSWER + WINDOW)
    full = Query(canvas.tokens, whole, canvas.open_masks(whole), "none", Progress(0, 1))
    cached = Query(canvas.tokens, window, canvas.open_masks(window), "dual", Progress(0, 1))
    predictor, rng = Predictor(network), _rng(network.device)

    def ask(query: Query, predictor: Predictor = predictor) -> torch.Tensor:
        return predictor.answer([((0,), [query])])[0].logits[0]

    logits = ask(cached)

    def sample() -> None:
        scores = propose(logits, GREEDY, rng).cpu().scores
        Threshold()(scores, scores > 0, Progress(0, 1), rng)

    size = WINDOW + network.shift
    parts: list[tuple[str, int, int, Callable[[], object]]] = [
        ("whole canvas", CANVAS, ANSWER, lambda: ask(full)),
        ("window", size, WINDOW, lambda: ask(cached)),
    ]
    if network.recorder is not None:
        ask(cached)  # the second window is recorded, and it must be the one that does not count
        plain = Predictor(replace(network, recorder=None))
        ask(cached, plain)
        parts.append(("window, not replayed", size, WINDOW, lambda: ask(cached, plain)))
    parts.append(("sampling of a window", 0, WINDOW, sample))
    for name, evaluated, rows, run in parts:
        yield StepTime(name, evaluated, rows, _seconds(run, network.device, rounds))


def _seconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The median wall time of `rounds` calls, after one that does not count."""
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


def findings(found: Sequence[StepTime], config: Config, plan: Plan) -> Findings:
    """One row per part. Weights a second, in GB, is what bounds a small window."""
    text = (
        f"{config.num_layers} layers of width {config.hidden_size}, {config.vocab_size:,} rows, "
        f"{'NF4' if plan.quant == 'nf4' else 'not quantized'}: {plan.weights / 1e9:.1f} GB"
    )
    rows = [
        [
            each.name,
            str(each.tokens),
            str(each.rows),
            f"{1000 * each.seconds:.1f}",
            f"{plan.weights / each.seconds / 1e9:.0f}" if each.tokens else "",
        ]
        for each in found
    ]
    table = markdown.table(["part", "tokens", "logits", "ms", "weights, GB/s"], rows)
    values: dict[str, object] = {
        "settings": asdict(config),
        "plan": asdict(plan),
        "steps": [asdict(each) for each in found],
    }
    return Findings(f"{text}\n\n{table}", values)
