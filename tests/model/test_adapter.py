"""An adapter computes what peft computes with it; one that cannot be used is one clear line."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from adapters import SETTINGS, write_adapter
from safetensors.torch import load_file, save_file

from diffucli.errors import BadCheckpoint, NoRoom
from diffucli.model import families, memory, nf4
from diffucli.model.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read
from diffucli.model.load import load, read_updates
from diffucli.train.hf_reference import published

if TYPE_CHECKING:
    from pathlib import Path

TOKENS, ROWS = torch.arange(1, 20), torch.arange(19)
ADAPTED = (  # settings for peft; the last three take what peft's own rules choose
    {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 4, "lora_alpha": 8},
    {"target_modules": r".*\.1\.(self_attn\.[qo]|mlp\.up)_proj", "r": 3, "use_rslora": True},
    {
        "target_modules": "all-linear",
        "exclude_modules": ["o_proj"],
        "rank_pattern": {"k_proj": 2, r"model\.layers\.0\.mlp.*": 5},
        "alpha_pattern": {"layers.1.mlp.gate_proj": 1},
    },
    {"target_modules": ["v_proj", "gate_proj", "c_attn"], "layers_to_transform": [1], "layers_pattern": "layers"},
)


@pytest.fixture
def fit(golden):
    """What an adapter is read for: the config and the family of the golden checkpoint."""
    return families.read(golden)


@pytest.fixture
def adapter(tmp_path, fit) -> Path:
    """A sound adapter, to be damaged."""
    return write_adapter(tmp_path / "adapter", fit[0])


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed, which adapters are compared with"
)
def test_the_logits_are_those_of_peft(checkpoint, golden, tmp_path):
    """For each way of naming layers; peft draws random numbers for both parts, and writes the files."""
    nf4.block_hub_kernels()
    import peft

    torch.manual_seed(0)
    plain = checkpoint.network(TOKENS[None], [ROWS])
    for i, settings in enumerate(ADAPTED):
        theirs = published(checkpoint.network, checkpoint.config)
        wanted = peft.LoraConfig(init_lora_weights=False, **settings)
        adapted = peft.get_peft_model(theirs.model, wanted)
        adapted.save_pretrained(tmp_path / str(i))
        ours = load(golden, device="cpu", adapter=tmp_path / str(i)).network(TOKENS[None], [ROWS])
        expected = replace(theirs, model=adapted)(TOKENS, ROWS)
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
        assert (ours - plain).abs().max() > 0.01


@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_the_weights_of_the_base_stay_as_they_are(golden, adapter, quant):
    if quant == "nf4":
        pytest.importorskip("bitsandbytes")
    with_adapter, without = (load(golden, device="cpu", quant=quant, adapter=each) for each in (adapter, None))
    kept = {
        name.replace(".base.", "."): w
        for name, w in with_adapter.network.model.named_parameters()
        if "lora_" not in name
    }
    for name, weight in without.network.model.named_parameters():
        assert torch.equal(weight, kept[name]), name
    ours, theirs = (each.network(TOKENS[None], [ROWS]) for each in (with_adapter, without))
    assert (ours - theirs).abs().max() > 0.01
    assert with_adapter.adapter is not None
    assert with_adapter.adapter.base == SETTINGS["base_model_name_or_path"]
    assert without.adapter is None


@pytest.mark.parametrize("name", ["dreamon", "p2", "blockwise", "llada"])
def test_every_family_has_adapters_by_its_own_names(golden_of, checkpoint_of, tmp_path, name):
    """What is computed beside the weights is what weights with the update in them compute."""
    folder, plain = golden_of(name), checkpoint_of(name)
    write_adapter(tmp_path / "lora", plain.config, plain.family, target_modules="all-linear")
    beside, merged = load(folder, device="cpu", adapter=tmp_path / "lora"), copy.deepcopy(plain.network)
    assert beside.adapter is not None
    assert len(beside.adapter.updates) == 7 * plain.config.num_layers
    updates = read_updates(beside.adapter, "cpu", torch.float32)
    for key, weight in merged.model.named_parameters():
        for part, rows in plain.config.split_fused(key, weight.data).items():
            if update := updates.get(part.removesuffix(".weight")):
                rows += update.scaling * update.lora_B @ update.lora_A  # noqa: PLW2901 — in place
    ours, theirs, without = (each(TOKENS[None], [ROWS]) for each in (beside.network, merged, plain.network))
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    assert (ours - without).abs().max() > 0.1


def test_the_plan_counts_an_adapter(golden, adapter, fit, monkeypatch):
    config, family = fit
    count = sum(tensor.numel() for tensor in load_file(adapter / ADAPTER_WEIGHTS).values())
    assert read(adapter, config, family).parameters == count
    bare, beside = (memory.plan(config, quant="none", device="cpu", adapter=n) for n in (0, count))
    assert beside.total == bare.total + 4 * count
    monkeypatch.setattr(memory, "free_memory", lambda _: bare.total)
    load(golden, device="cpu")
    with pytest.raises(NoRoom, match="the model needs"):
        load(golden, device="cpu", adapter=adapter)


def test_what_peft_writes_by_default_is_read(fit, adapter):
    """The settings of a file as peft 0.21 writes it, many of them None."""
    edited(adapter, **dict.fromkeys(["eva_config", "target_parameters", "layers_pattern", "exclude_modules"]))
    edited(adapter, loftq_config={}, megatron_core="megatron.core", qalora_group_size=16, lora_dropout=0.1, bias="none")
    edited(adapter, rank_pattern={}, init_lora_weights=True, inference_mode=True, peft_version="0.21.2", use_dora=False)
    assert len(read(adapter, *fit).updates) == 3 * fit[0].num_layers


# bad adapters


def edited(folder: Path, **changes: object) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def retensored(folder: Path, change) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    change(tensors)
    save_file(tensors, folder / ADAPTER_WEIGHTS)


def pickled(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")


LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
A, B = f"{LAYER}.lora_A.weight", f"{LAYER}.lora_B.weight"
OTHER_BASE = "it was made for apple/DiffuCoder-7B-Instruct"
DAMAGES = {
    "no config": (lambda f: (f / ADAPTER_CONFIG).unlink(), "is no adapter: it lacks adapter_config.json"),
    "no JSON": (lambda f: (f / ADAPTER_CONFIG).write_text("{"), "adapter_config.json is not JSON"),
    "a list": (lambda f: (f / ADAPTER_CONFIG).write_text("[]"), "is not JSON (it holds no JSON object)"),
    "another method": (lambda f: edited(f, peft_type="IA3"), "is an adapter of the type 'IA3', not LORA"),
    "DoRA": (lambda f: edited(f, use_dora=True), "sets use_dora to True, which diffu does not support"),
    "biases": (lambda f: edited(f, bias="lora_only"), "sets bias to 'lora_only'"),
    "whole modules": (lambda f: edited(f, modules_to_save=["lm_head"]), "sets modules_to_save to ['lm_head']"),
    "another base's weights": (lambda f: edited(f, init_lora_weights="pissa_niter_4"), "sets init_lora_weights to"),
    "a setting of tomorrow": (lambda f: edited(f, use_newest=1), "sets use_newest to 1, which diffu does not support"),
    "rank 0": (lambda f: edited(f, r=0), "the rank of an update must be a positive number, not 0"),
    "a rank in words": (lambda f: edited(f, rank_pattern={"q_proj": "8"}), "must be a positive number, not '8'"),
    "no scale": (lambda f: edited(f, lora_alpha=None), "lora_alpha must be a number, not None"),
    "an endless scale": (lambda f: edited(f, lora_alpha=float("inf")), "lora_alpha must be a number, not inf"),
    "no targets": (lambda f: edited(f, target_modules=None), "target_modules None name no layer of the model"),
    "foreign targets": (lambda f: edited(f, target_modules=["c_attn"]), "['c_attn'] name no layer of the model"),
    "targets in numbers": (lambda f: edited(f, target_modules=7), "target_modules cannot be 7"),
    "no pattern": (lambda f: edited(f, target_modules="*q_proj"), "'*q_proj' is no pattern: nothing to repeat"),
    "a pattern without end": (lambda f: edited(f, target_modules=r"(?:(\w)|(\w)|(\.))*\d\d"), "takes too long"),
    "no weights": (lambda f: (f / ADAPTER_WEIGHTS).unlink(), "lacks adapter_model.safetensors"),
    "a pickle": (pickled, "holds a pickle (adapter_model.bin), which can run code"),
    "cut off": (lambda f: os.truncate(f / ADAPTER_WEIGHTS, 100), "is damaged, truncated or no safetensors file"),
    "a tensor less": (lambda f: retensored(f, lambda t: t.pop(B)), f"the adapter lacks the tensor {B}"),
    "a tensor more": (
        lambda f: retensored(f, lambda t: t.update({"base_model.model.lm_head.lora_A.weight": t[A].clone()})),
        "the model has no place for the tensor base_model.model.lm_head.lora_A.weight",
    ),
    "another width": (
        lambda f: retensored(f, lambda t: t.update({A: t[A][:, :32].clone()})),
        f"{A} has shape [4, 32], the model and adapter_config.json ask for [4, 64]",
    ),
    "another rank": (lambda f: edited(f, r=8), f"{A} has shape [4, 64], the model and adapter_config.json ask for [8"),
    "NaN": (
        lambda f: retensored(f, lambda t: t[B].fill_(torch.nan)),
        "the update of model.layers.0.self_attn.q_proj holds values that are not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_bad_adapter_is_one_clear_line(golden, adapter, name, monkeypatch):
    monkeypatch.setattr("diffucli.model.adapter.MATCH_SECONDS", 0.05 if name == "a pattern without end" else 60)
    damage, line = DAMAGES[name]
    damage(adapter)
    with pytest.raises(BadCheckpoint) as caught:
        load(golden, device="cpu", adapter=adapter)
    assert line in caught.value.message
    assert str(adapter) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_an_adapter_of_another_base_names_that_base(golden, tmp_path, fit):
    config, _ = fit
    other = write_adapter(tmp_path / "wider", replace(config, hidden_size=128, num_heads=8))
    deeper = write_adapter(tmp_path / "deeper", replace(config, num_layers=config.num_layers + 1))
    for folder in (other, deeper):
        with pytest.raises(BadCheckpoint) as caught:
            load(golden, device="cpu", adapter=folder)
        assert caught.value.hint == OTHER_BASE
