"""The recipe of mini: train causally first, then as a masked diffusion model; from data to a checkpoint folder.

The device and the training time are arguments; otherwise the recipe is the same on a laptop and on an accelerator.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from diffucli.mini import corpus
from diffucli.mini.batches import SeenData, batch_of, batches
from diffucli.mini.checkpoint import WEIGHTS, config_of, learn_vocabulary, save, write_config
from diffucli.mini.classics import classics, held_out_requests
from diffucli.mini.rows import CAUSAL_PADDING, PADDING, POLISH_SHARES, SHARES, RowSampler, trained_composition
from diffucli.mini.wording import normalize, to_request
from diffucli.model.config import Config
from diffucli.model.families import DREAM_CHAT
from diffucli.model.load import find_device
from diffucli.model.tokenizer import read as read_tokenizer
from diffucli.tasks import prompt
from diffucli.train.hf_reference import untrained
from diffucli.train.objective import causal_loss, diffusion_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor
    from transformers import Qwen2ForCausalLM

    from diffucli.mini.rows import TrainingRow
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.train.objective import Batch

    Optimizers = list[tuple[torch.optim.Optimizer, float]]  # each with its learning rate

AVERAGE_EVERY, AVERAGE_DECAY = 8, 0.98  # steps between two updates of the moving average, and its last decay
SAVE_SECONDS = 240.0  # between two writes of the weights
PROGRAMS = 6000  # compositions that the vocabulary is learned from
OPEN_FUNCTIONS = 2500  # functions of open code that the vocabulary is learned from
Stage = Literal["causal", "diffusion", "polish"]
DATA: Mapping[Stage, tuple[Mapping[int, int], Sequence[int]]] = {  # padding and shares of each stage
    "causal": (CAUSAL_PADDING, SHARES),
    "diffusion": (PADDING, SHARES),
    "polish": (PADDING, POLISH_SHARES),
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The shape of the network, by the names of config.json."""

    hidden_size: int = 256
    intermediate_size: int = 704
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    num_key_value_heads: int = 2


SHAPES = {"small": ModelShape(), "large": ModelShape(512, 1408, 8, 8, 4)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    size: shape of the network. minutes: wall time of the training. device: auto, cpu, cuda. causal: share of the time
    that is trained to predict the next token. polish: share of the time, at the end, in which tasks are drawn more
    often. rate: learning rate of Muon. embed_rate: learning rate of AdamW. compiled: whether torch.compile is used if
    it works here; it costs the first half minute.
    """

    size: ModelShape = ModelShape()
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
class TrainingStarted:
    """The data is read and the network is made. functions: number of functions of open code, by package."""

    functions: Mapping[str, int]
    parameters: int
    device: torch.device


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A training step.

    done: share of the training time. seconds: since the beginning. loss: of this step, in nats per token. steps,
    tokens, rows (by kind), programs (distinct ones of compositions): seen so far.
    """

    done: float
    seconds: float
    loss: float
    stage: Stage
    steps: int
    tokens: int
    rows: Mapping[str, int]
    programs: int


def train(recipe: Recipe, folder: Path) -> Iterator[TrainingStarted | TrainingStep]:
    """Trains, and writes the checkpoint to `folder` now and then and at the end.

    A vocabulary and weights that are in `folder` are used. Raises UsageError if there is no such device.
    """
    device = find_device(recipe.device)
    torch.manual_seed(recipe.seed)
    functions = [f for f in corpus.functions() if f.package not in corpus.HELD_OUT]
    if not (folder / "vocab.json").exists():
        learn_vocabulary(vocabulary_texts(functions, random.Random(recipe.seed)), folder)
    tokenizer = read_tokenizer(folder)
    config = config_of(asdict(recipe.size), tokenizer)
    write_config(config, folder)
    model = untrained(Config.from_json(config))
    model.set_attn_implementation("eager")  # when compiled, it is 20 % faster on a CPU than the fused implementation
    if (folder / WEIGHTS).exists():
        model.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    model.to(device)  # type: ignore[arg-type]
    if recipe.compiled and can_compile(device):
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    counts = Counter(f.package for f in functions)
    yield TrainingStarted(counts, sum(p.numel() for p in model.parameters()), device)
    yield from _steps(recipe, model, RowSampler(tokenizer, functions, PADDING), folder)


def _steps(recipe: Recipe, model: Qwen2ForCausalLM, sampler: RowSampler, folder: Path) -> Iterator[TrainingStep]:
    average = AveragedModel(model, avg_fn=averaged)
    optimizing = optimizers(model, rate=recipe.rate, embed_rate=recipe.embed_rate)
    rng, seen, data = torch.Generator().manual_seed(recipe.seed), SeenData(), _data(recipe, sampler)
    begun = saved = time.monotonic()
    while (done := (seconds := time.monotonic() - begun) / (60 * recipe.minutes)) < 1:
        stage: Stage = "causal" if done < recipe.causal else "polish" if done >= 1 - recipe.polish else "diffusion"
        rows = next(data[stage])
        loss = _loss(stage, model, batch_of(rows, pad=sampler.tokenizer.pad), sampler.tokenizer, rng)
        update(model, optimizing, loss, factor=schedule(done))
        seen.add(rows)
        if seen.steps % AVERAGE_EVERY == 0:
            average.update_parameters(model)
        if time.monotonic() - saved > SAVE_SECONDS:
            save(average.module, folder)
            saved = time.monotonic()
        counts = seen.steps, seen.tokens, dict(seen.rows), len(seen.programs)
        yield TrainingStep(done, seconds, float(loss.detach()), stage, *counts)
    save(average.module, folder)


def _data(recipe: Recipe, sampler: RowSampler) -> dict[Stage, Iterator[list[TrainingRow]]]:
    """The batches of each stage; every stage has its own seed."""
    return {
        stage: batches(
            replace(sampler, padding=padding, shares=shares), tokens=recipe.batch_tokens, seed=recipe.seed + i
        )
        for i, (stage, (padding, shares)) in enumerate(DATA.items())
    }


def _loss(stage: Stage, model: Qwen2ForCausalLM, batch: Batch, tokenizer: Tokenizer, rng: torch.Generator) -> Tensor:
    """The loss of the stage, with causal or full attention."""
    on_device = batch.to(model.device)
    model.config.is_causal = stage == "causal"
    with torch.autocast(model.device.type, torch.bfloat16, enabled=fast_bfloat16(model.device)):
        if stage == "causal":
            return causal_loss(model, on_device, pad=tokenizer.pad)
        return diffusion_loss(model, on_device, mask=tokenizer.mask, pad=tokenizer.pad, rng=rng)


def optimizers(model: Qwen2ForCausalLM, *, rate: float, embed_rate: float) -> Optimizers:
    """Muon for the matrices of the layers, AdamW for embeddings, head, norms and biases."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        (torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), rate),
        (torch.optim.AdamW(rest, lr=embed_rate, betas=(0.9, 0.98), weight_decay=0.0), embed_rate),
    ]


def averaged(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """The moving average after its update number `count` + 1.

    Its decay grows to AVERAGE_DECAY, so that a short session does not end near the weights that it began with.
    """
    decay = min(AVERAGE_DECAY, (1 + int(count)) / (10 + int(count)))
    return average.lerp(value, 1 - decay)


def schedule(done: float) -> float:
    """The factor of the learning rates: warmup over the first 2 % of the time, linear decay to 0 over the last half."""
    return min(done / 0.02, 1.0, max(1 - done, 0.0) / 0.5) if done > 0 else 1e-3


def update(model: nn.Module, optimizing: Optimizers, loss: torch.Tensor, *, factor: float) -> None:
    """One optimizer step at the learning rates times `factor`, with gradients clipped to norm 1."""
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer, rate in optimizing:
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        optimizer.step()
        optimizer.zero_grad()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast: on GPUs, and on CPUs with instructions for it; on other CPUs it is far slower."""
    if device.type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 — torch has no public function for it


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works: a GPU needs Triton, a CPU a C++ compiler."""
    if device.type == "cuda":
        return find_spec("triton") is not None
    compilers = os.environ.get("CXX", "g++"), "clang++"
    return device.type == "cpu" and any(shutil.which(name) for name in compilers)


def vocabulary_texts(functions: Sequence[corpus.Function], rng: random.Random) -> Iterator[str]:
    """The texts that the vocabulary is learned from: requests, code of tasks and compositions, some open code."""
    for task in classics():
        for phrase, verb in task.phrases(held_out=False):
            if normalize(text := to_request(rng, phrase, verb=verb)) not in held_out_requests():
                yield text
        for solution in task.solutions:
            yield from [solution] * 4
    for _ in range(PROGRAMS):
        item = trained_composition(rng)
        yield item.instruction
        yield item.code
    for function in rng.sample(list(functions), min(OPEN_FUNCTIONS, len(functions))):
        yield function.code
    yield from [f"system\n{DREAM_CHAT.system}user\nassistant\n{prompt.PREFILL.format(tag='python')}"] * 50
