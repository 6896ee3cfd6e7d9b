"""How mini's weights are changed: Muon and AdamW, the learning rate's course, and what makes a step quick here."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

Optimizers = list[tuple[torch.optim.Optimizer, float]]


def optimizers(model: Qwen2ForCausalLM, *, rate: float, embed_rate: float) -> Optimizers:
    """Muon for the matrices inside the layers, AdamW for embeddings, head, norms and biases; each with its rate."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        (torch.optim.Muon(inner, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), rate),
        (torch.optim.AdamW(rest, lr=embed_rate, betas=(0.9, 0.98), weight_decay=0.0), embed_rate),
    ]


def schedule(done: float) -> float:
    """The learning rate's factor: up over the first 2 %, level, then down to 0 over the last half."""
    return min(done / 0.02, 1.0, max(1 - done, 0.0) / 0.5) if done > 0 else 1e-3


def update(model: nn.Module, optimizing: Optimizers, loss: torch.Tensor, *, factor: float) -> None:
    """One step down `loss` at the rates times `factor`, gradients clipped to norm 1."""
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer, rate in optimizing:
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        optimizer.step()
        optimizer.zero_grad()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 pays here: on a GPU, and on CPUs with instructions for it (elsewhere it is far slower)."""
    if device.type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 — torch offers no public question


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works here: a GPU needs Triton, a CPU a C++ compiler."""
    if device.type == "cuda":
        return find_spec("triton") is not None
    compilers = os.environ.get("CXX", "g++"), "clang++"
    return device.type == "cpu" and any(shutil.which(name) for name in compilers)
