"""What is trained, its reference, and that what is written runs as it was trained."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from diffucli.errors import UsageError
from diffucli.model import nf4
from diffucli.model.load import load
from diffucli.train.hf_reference import published
from diffucli.train.weights import TrainedWeights

TOKENS, ROWS = torch.arange(1, 21)[None], [torch.arange(20)]


@torch.no_grad()
def disturb(weights, size=0.05):
    rng = torch.Generator().manual_seed(0)
    for parameter in weights.parameters:
        parameter.add_(size * torch.randn(parameter.shape, generator=rng))


def test_a_checkpoint_is_written_as_it_was_trained(golden, tmp_path):
    checkpoint = load(golden, device="cpu", trained=True)
    weights = TrainedWeights(checkpoint, rank=0, with_reference=False)
    disturb(weights)
    weights.write(tmp_path / "model", base="tiny")
    again = load(tmp_path / "model", device="cpu")
    torch.testing.assert_close(again.network(TOKENS, ROWS), checkpoint.network(TOKENS, ROWS), rtol=0, atol=0)
    assert again.tokenizer.encode("def f():") == checkpoint.tokenizer.encode("def f():")


@pytest.mark.parametrize("base", ["golden", "packed"])
def test_an_adapter_is_written_as_it_was_trained(base, request, tmp_path):
    folder = request.getfixturevalue(base)
    checkpoint = load(folder, device="cpu", trained=True)
    before = checkpoint.network(TOKENS, ROWS)
    weights = TrainedWeights(checkpoint, rank=4, with_reference=True)
    torch.testing.assert_close(checkpoint.network(TOKENS, ROWS), before, rtol=0, atol=0)
    assert not any("embed" in name for name in weights.named)
    disturb(weights)
    weights.write(tmp_path / "adapter", base="tiny")
    again = load(folder, device="cpu", adapter=tmp_path / "adapter")
    torch.testing.assert_close(again.network(TOKENS, ROWS), checkpoint.network(TOKENS, ROWS), rtol=1e-4, atol=1e-4)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["base_model_name_or_path"]) == (4, 8, "tiny")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed, which adapters are compared with")
def test_a_trained_adapter_computes_the_same_in_peft(golden, tmp_path):
    nf4.block_hub_kernels()
    import peft

    checkpoint, base = load(golden, device="cpu", trained=True), load(golden, device="cpu")
    weights = TrainedWeights(checkpoint, rank=4, with_reference=False)
    disturb(weights)
    weights.write(tmp_path / "adapter", base="tiny")
    theirs = published(base.network, base.config)
    adapted = replace(theirs, model=peft.PeftModel.from_pretrained(theirs.model, tmp_path / "adapter"))
    ours = checkpoint.network(TOKENS, ROWS)
    torch.testing.assert_close(ours, adapted(TOKENS[0], ROWS[0]), rtol=1e-4, atol=1e-4)
    assert (ours - base.network(TOKENS, ROWS)).abs().max() > 0.01


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_network_as_it_was_until_it_is_renewed(golden, rank):
    checkpoint = load(golden, device="cpu", trained=True)
    before = checkpoint.network(TOKENS, ROWS)
    weights = TrainedWeights(checkpoint, rank=rank, with_reference=True)
    disturb(weights)
    now = checkpoint.network(TOKENS, ROWS)
    assert not torch.allclose(before, now, atol=1e-3)
    with weights.as_reference():
        torch.testing.assert_close(checkpoint.network(TOKENS, ROWS), before, rtol=0, atol=0)
    torch.testing.assert_close(checkpoint.network(TOKENS, ROWS), now, rtol=0, atol=0)
    weights.renew_reference()
    with weights.as_reference():
        torch.testing.assert_close(checkpoint.network(TOKENS, ROWS), now, rtol=0, atol=0)


def test_four_bits_are_not_trained_whole(packed):
    with pytest.raises(UsageError, match="weights in four bits cannot be trained"):
        TrainedWeights(load(packed, device="cpu", quant="nf4", trained=True), rank=0, with_reference=False)
