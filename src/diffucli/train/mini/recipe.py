"""The recipe of mini: start causal, then adapt to masked diffusion; one run from data to a checkpoint folder.

The device and the minutes are arguments; the recipe is the same on a laptop and on an accelerator.
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 — training is torch's own
from safetensors.torch import save_file
from torch import nn  # noqa: TID253
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: TID253
from transformers import Qwen2ForCausalLM  # noqa: TID253

from diffucli import layout
from diffucli.model import vocabulary
from diffucli.model.network import configure
from diffucli.train.diffusion import Batch, causal_loss, collate, diffusion_loss
from diffucli.train.mini import corpus, tokenizer
from diffucli.train.mini.classics import ask, classics
from diffucli.train.mini.rows import Row, Sources, trained_composition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

AVERAGED = 8  # steps between two looks of the moving average


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
    """How to train. minutes: wall time; causal: their share spent next-token. rate: of Muon; embed_rate: of AdamW."""

    size: Size = Size()
    minutes: float = 120.0
    device: str = "cpu"
    causal: float = 0.35
    batch_tokens: int = 8192
    rate: float = 3e-3
    embed_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the training is: a share of its time, steps and tokens so far, and the loss (nats a token)."""

    done: float
    steps: int
    tokens: int
    loss: float
    stage: str


def train(recipe: Recipe, folder: Path) -> Iterator[Progress]:
    """Trains and writes the checkpoint into `folder` now and then and at the end; yields its progress."""
    torch.manual_seed(recipe.seed)
    functions = [f for f in corpus.functions() if f.package not in corpus.HELD_OUT]
    if not (folder / "vocab.json").exists():
        tokenizer.learn(_texts(functions, random.Random(recipe.seed)), folder)
    settings = _settings(recipe.size, folder)
    words = vocabulary.read(folder)
    device = torch.device(recipe.device)
    model = Qwen2ForCausalLM(configure(settings)).to(device)  # type: ignore[arg-type]
    for layer in model.model.layers:
        layer.compile(dynamic=True)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))  # type: ignore[no-untyped-call]
    yield from _run(recipe, model, average, Sources(words, functions), folder)


def _run(
    recipe: Recipe, model: Qwen2ForCausalLM, average: AveragedModel, sources: Sources, folder: Path
) -> Iterator[Progress]:
    begun, saved, steps, tokens = time.monotonic(), time.monotonic(), 0, 0
    words, rng = sources.words, torch.Generator().manual_seed(recipe.seed)
    optimizers = _optimizers(model, recipe)
    for batch in _batches(sources, recipe):
        done = (time.monotonic() - begun) / (60 * recipe.minutes)
        if done >= 1:
            break
        causal = done < recipe.causal
        model.config.is_causal = causal
        on_device = batch.to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=fast_bfloat16(model.device)):
            if causal:
                loss = causal_loss(model, on_device, pad=words.pad)
            else:
                loss = diffusion_loss(model, on_device, mask=words.mask, pad=words.pad, rng=rng)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule(done)
            optimizer.step()
            optimizer.zero_grad()
        steps, tokens = steps + 1, tokens + int(batch.valid.sum())
        if steps % AVERAGED == 0:
            average.update_parameters(model)
        if time.monotonic() - saved > 240:
            save(average.module, folder)
            saved = time.monotonic()
        yield Progress(done, steps, tokens, float(loss.detach()), "causal" if causal else "diffusion")
    save(average.module, folder)


def schedule(done: float) -> float:
    """The learning rate's factor: up over the first 2 %, level, then down to 0 over the last half."""
    return min(done / 0.02, 1.0, max(1 - done, 0.0) / 0.5) if done > 0 else 1e-3


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 pays here: on a GPU, and on CPUs with instructions for it (elsewhere it is far slower)."""
    if device.type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 — torch offers no public question


def _optimizers(model: Qwen2ForCausalLM, recipe: Recipe) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices inside the layers, AdamW for embeddings, head, norms and biases; each with its rate."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        (torch.optim.Muon(inner, lr=recipe.rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), recipe.rate),
        (torch.optim.AdamW(rest, lr=recipe.embed_rate, betas=(0.9, 0.98), weight_decay=0.0), recipe.embed_rate),
    ]


def _batches(sources: Sources, recipe: Recipe) -> Iterator[Batch]:
    """Batches of about `batch_tokens` tokens, rows of like length together, for ever."""
    rng = random.Random(recipe.seed)
    while True:
        pool = [row for row in (sources.draw(rng) for _ in range(recipe.batch_tokens // 16)) if row is not None]
        groups = list(_grouped(sorted(pool, key=lambda row: len(row.tokens)), recipe.batch_tokens))
        rng.shuffle(groups)
        for group in groups:
            yield collate([(row.tokens, row.holes, row.answers) for row in group], pad=sources.words.pad)


def _grouped(rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        if group and (len(group) + 1) * len(row.tokens) > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _texts(functions: Sequence[corpus.Function], rng: random.Random) -> Iterator[str]:
    """What the vocabulary is learned from: requests, the code of tasks and compositions, some open code."""
    for task in classics():
        for phrase, verb in task.phrases(held_out=False):
            yield ask(rng, phrase, verb=verb)
        for solution in task.solutions:
            yield from [solution] * 4
    for _ in range(6000):
        item = trained_composition(rng)
        yield item.instruction
        yield item.code
    for function in rng.sample(list(functions), min(2500, len(functions))):
        yield function.code
    yield from [f"system\n{vocabulary.SYSTEM}user\nassistant\n{layout.PREFILL.format(tag='python')}"] * 50


def _settings(size: Size, folder: Path) -> dict[str, object]:
    """config.json in the published layout, written and returned."""
    added = json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    settings: dict[str, object] = {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "vocab_size": -(-(max(added.values()) + 1) // 64) * 64,
        **asdict(size),
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 1 / math.sqrt(size.hidden_size) / 2,
        "tie_word_embeddings": False,
        "mask_token_id": added["<|mask|>"],
        "pad_token_id": added["<|dlm_pad|>"],
        "bos_token_id": added["<|beginoftext|>"],
        "eos_token_id": added["<|endoftext|>"],
        "torch_dtype": "bfloat16",
        "trained_length": 320,
        "hole_padding": True,
    }
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return settings


def save(model: nn.Module, folder: Path) -> None:
    """The weights in bfloat16 as model.safetensors, written aside and moved into place."""
    state = {
        name.replace("_orig_mod.", ""): value.detach().bfloat16().cpu() for name, value in model.state_dict().items()
    }
    aside = folder / "model.safetensors.part"
    save_file(state, aside, metadata={"format": "pt"})
    aside.replace(folder / "model.safetensors")
