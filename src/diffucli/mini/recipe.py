"""The recipe of mini: start causal, then adapt to masked diffusion; one run from data to a checkpoint folder.

The device and the minutes are arguments; the recipe is the same on a laptop and on an accelerator.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from diffucli.mini import bpe, corpus
from diffucli.mini.batches import Tally, batch_of, batches
from diffucli.mini.checkpoint import WEIGHTS, save, settings_of, write_settings
from diffucli.mini.classics import classics, kept_back
from diffucli.mini.optimise import can_compile, fast_bfloat16, optimizers, schedule, update
from diffucli.mini.rows import BRIEF, LATE, SHARES, SLACKS, Row, Sources, trained_composition
from diffucli.mini.wording import ask, plain
from diffucli.model import tokenizer
from diffucli.model.config import Config
from diffucli.model.family import DREAM_CHAT
from diffucli.model.hf_reference import untrained
from diffucli.model.load import find_device
from diffucli.tasks import prompt
from diffucli.train.objective import causal_loss, diffusion_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor
    from transformers import Qwen2ForCausalLM

    from diffucli.model.tokenizer import Tokenizer
    from diffucli.train.objective import Batch

AVERAGED = 8  # steps between two looks of the moving average
SAVED = 240.0  # seconds between two writings of the weights
PROGRAMS = 6000  # compositions that the vocabulary is learned from
Stage = Literal["causal", "diffusion", "polish"]
DRAWN: Mapping[Stage, tuple[Mapping[int, int], Sequence[int]]] = {  # slacks and shares of each stage
    "causal": (BRIEF, SHARES),
    "diffusion": (SLACKS, SHARES),
    "polish": (SLACKS, LATE),
}


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of the network."""

    hidden_size: int = 256
    intermediate_size: int = 704
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    num_key_value_heads: int = 2


SIZES = {"small": Size(), "large": Size(512, 1408, 8, 8, 4)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    minutes: wall time; causal: their share spent next-token; polish: the last one, in which tasks come more often.
    device: auto, cpu, cuda. rate: of Muon; embed_rate: of AdamW. compiled: the layers go through torch.compile where
    it works, which costs the first half minute.
    """

    size: Size = Size()
    minutes: float = 120.0
    device: str = "cpu"
    causal: float = 0.25
    polish: float = 0.35
    batch_tokens: int = 8192
    rate: float = 3e-3
    embed_rate: float = 3e-3
    seed: int = 0
    compiled: bool = True


@dataclass(frozen=True, slots=True)
class Begun:
    """The data is read and the network made. functions: of open code, by package."""

    functions: Mapping[str, int]
    parameters: int
    device: torch.device


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the training is: a share of its time, seconds, and the loss of the last step (nats a token).

    steps, tokens, rows (by source), programs (distinct ones, of compositions): seen so far.
    """

    done: float
    seconds: float
    loss: float
    stage: Stage
    steps: int
    tokens: int
    rows: Mapping[str, int]
    programs: int


def train(recipe: Recipe, folder: Path) -> Iterator[Begun | Progress]:
    """Trains and writes the checkpoint into `folder` now and then and at the end; yields its progress.

    A vocabulary and weights that `folder` already has are gone on from. UsageError where there is no such device.
    """
    device = find_device(recipe.device)
    torch.manual_seed(recipe.seed)
    functions = [f for f in corpus.functions() if f.package not in corpus.HELD_OUT]
    if not (folder / "vocab.json").exists():
        bpe.learn(_texts(functions, random.Random(recipe.seed)), folder)
    words = tokenizer.read(folder)
    settings = settings_of(asdict(recipe.size), words)
    write_settings(settings, folder)
    model = untrained(Config.from_json(settings))
    model.set_attn_implementation("eager")  # compiled, it is a fifth faster on a CPU than the fused one
    if (folder / WEIGHTS).exists():
        model.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    model.to(device)  # type: ignore[arg-type]
    if recipe.compiled and can_compile(device):
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    yield Begun(Counter(f.package for f in functions), sum(p.numel() for p in model.parameters()), device)
    yield from _run(recipe, model, Sources(words, functions, SLACKS), folder)


def _run(recipe: Recipe, model: Qwen2ForCausalLM, sources: Sources, folder: Path) -> Iterator[Progress]:
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))  # type: ignore[no-untyped-call]
    optimizing = optimizers(model, rate=recipe.rate, embed_rate=recipe.embed_rate)
    rng, tally = torch.Generator().manual_seed(recipe.seed), Tally()
    drawn: dict[Stage, Iterator[list[Row]]] = {
        stage: batches(replace(sources, slacks=slacks, shares=shares), tokens=recipe.batch_tokens, seed=recipe.seed + i)
        for i, (stage, (slacks, shares)) in enumerate(DRAWN.items())
    }
    begun = saved = time.monotonic()
    while (done := (seconds := time.monotonic() - begun) / (60 * recipe.minutes)) < 1:
        stage: Stage = "causal" if done < recipe.causal else "polish" if done >= 1 - recipe.polish else "diffusion"
        rows = next(drawn[stage])
        loss = _loss(stage, model, batch_of(rows, pad=sources.words.pad), sources.words, rng)
        update(model, optimizing, loss, factor=schedule(done))
        tally.add(rows)
        if tally.steps % AVERAGED == 0:
            average.update_parameters(model)
        if time.monotonic() - saved > SAVED:
            save(average.module, folder)
            saved = time.monotonic()
        yield _progress(tally, done=done, seconds=seconds, loss=float(loss.detach()), stage=stage)
    save(average.module, folder)


def _progress(tally: Tally, *, done: float, seconds: float, loss: float, stage: Stage) -> Progress:
    return Progress(done, seconds, loss, stage, tally.steps, tally.tokens, dict(tally.rows), len(tally.programs))


def _loss(stage: Stage, model: Qwen2ForCausalLM, batch: Batch, words: Tokenizer, rng: torch.Generator) -> Tensor:
    """The stage's loss, with attention as the stage has it."""
    on_device = batch.to(model.device)
    model.config.is_causal = stage == "causal"
    with torch.autocast(model.device.type, torch.bfloat16, enabled=fast_bfloat16(model.device)):
        if stage == "causal":
            return causal_loss(model, on_device, pad=words.pad)
        return diffusion_loss(model, on_device, mask=words.mask, pad=words.pad, rng=rng)


def _texts(functions: Sequence[corpus.Function], rng: random.Random) -> Iterator[str]:
    """What the vocabulary is learned from: requests, the code of tasks and compositions, some open code."""
    for task in classics():
        for phrase, verb in task.phrases(held_out=False):
            if plain(text := ask(rng, phrase, verb=verb)) not in kept_back():
                yield text
        for solution in task.solutions:
            yield from [solution] * 4
    for _ in range(PROGRAMS):
        item = trained_composition(rng)
        yield item.instruction
        yield item.code
    for function in rng.sample(list(functions), min(2500, len(functions))):
        yield function.code
    yield from [f"system\n{DREAM_CHAT.system}user\nassistant\n{prompt.PREFILL.format(tag='python')}"] * 50
