"""The steps that change the weights."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from diffucli.mini import optimise
from diffucli.mini.optimise import can_compile, fast_bfloat16, optimizers, schedule, update
from diffucli.model.config import Config
from diffucli.model.hf_reference import untrained

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    return untrained(Config(20, hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, num_kv_heads=1))


def test_the_rate_goes_up_stays_and_goes_down_to_nothing() -> None:
    assert schedule(0.0) == 1e-3
    assert schedule(0.01) == pytest.approx(0.5)
    assert {schedule(done) for done in (0.02, 0.2, 0.5)} == {1.0}
    assert schedule(0.75) == pytest.approx(0.5)
    assert schedule(1.0) == schedule(1.1) == 0.0


def test_every_weight_has_one_optimizer_and_matrices_of_the_layers_have_muon(model: Qwen2ForCausalLM) -> None:
    (muon, fast), (adam, slow) = optimizers(model, rate=0.2, embed_rate=0.1)
    assert (type(muon).__name__, type(adam).__name__, fast, slow) == ("Muon", "AdamW", 0.2, 0.1)
    held = [id(p) for each in (muon, adam) for group in each.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    names = {id(p): name for name, p in model.named_parameters()}
    inner = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert all("_proj" in name for name in inner)
    assert len(inner) == 2 * 7


def test_an_update_goes_down_and_leaves_no_gradient(model: Qwen2ForCausalLM) -> None:
    tokens = torch.arange(12)[None]
    optimizing, losses = optimizers(model, rate=0.01, embed_rate=0.01), []
    for _ in range(5):
        loss = model(input_ids=tokens, labels=tokens).loss
        update(model, optimizing, loss, factor=0.5)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is None for p in model.parameters())
    assert {group["lr"] for each, _ in optimizing for group in each.param_groups} == {0.005}


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not can_compile(torch.device("cpu"))
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/clang++" if name == "clang++" else None)
    assert can_compile(torch.device("cpu"))
    monkeypatch.setattr(optimise, "find_spec", lambda name: None)
    assert not can_compile(torch.device("cuda"))
    assert not can_compile(torch.device("mps"))


def test_gpus_are_quick_in_bfloat16() -> None:
    assert fast_bfloat16(torch.device("cuda"))
    assert isinstance(fast_bfloat16(torch.device("cpu")), bool)
