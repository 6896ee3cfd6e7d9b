"""config.json becomes one value, and everything that follows from it agrees with the published sizes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.errors import BadCheckpoint
from diffucli.model.checkpoint import OtherFormat
from diffucli.model.config import FUSED, MOST, Config
from diffucli.model.families import read_config
from diffucli.model.family import ConfigKeys
from diffucli.model.transformer import Transformer

SEVEN = Config(152_064, 3584, 18_944, num_layers=28, num_heads=28, num_kv_heads=4, max_position_embeddings=131_072)
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


@pytest.fixture
def values(golden) -> dict[str, object]:
    return json.loads((golden / "config.json").read_text())


def test_every_field_is_read(values):
    changed = values | {"rope_theta": 5e5, "rms_norm_eps": 1e-3, "trained_length": 512, "hole_padding": True}
    changed |= {"initializer_range": 0.5, "tie_word_embeddings": True, "quantization_config": NF4}
    assert Config.from_json(changed) == Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=160,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        max_position_embeddings=131_072,
        rope_theta=5e5,
        rms_norm_eps=1e-3,
        tie_word_embeddings=True,
        trained_length=512,
        hole_padding=True,
        quantization="nf4",
        mask_token_id=488,
        initializer_range=0.5,
        model_type="Dream",
    )


def test_what_config_json_leaves_out_has_the_published_default(values):
    optional = ("rope_theta", "rms_norm_eps", "tie_word_embeddings", "mask_token_id", "initializer_range", "model_type")
    config = Config.from_json({key: value for key, value in values.items() if key not in optional})
    assert (config.rope_theta, config.rms_norm_eps, config.tie_word_embeddings) == (10_000.0, 1e-6, False)
    assert (config.trained_length, config.hole_padding, config.quantization) == (2048, False, "none")
    assert (config.mask_token_id, config.initializer_range, config.model_type) == (None, 0.02, None)


@pytest.mark.parametrize("given", [{"rope_theta": 5e5, "rope_type": "default"}, {"rope_theta": 5e5}])
def test_the_rotary_base_is_read_where_transformers_5_writes_it(values, given):
    values.pop("rope_theta")
    assert Config.from_json(values | {"rope_parameters": given}).rope_theta == 5e5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling is not supported"),
        ({"rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0}}, "'yarn'.* are not supported"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "rope_parameters .* are not supported"),
        ({"rope_parameters": "default"}, "rope_parameters 'default' are not supported"),
        (
            {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}},
            "rope_theta is 10000.0, and 1000000.0 in rope_par",
        ),
        ({"use_sliding_window": True}, "use_sliding_window is not supported"),
        ({"use_mrope": True}, "use_mrope is not supported"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types other than full_attention"),
        ({"rope_scaling": {"type": "dynamic"}}, "rope_scaling is not supported"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({"head_dim": 15}, "4 attention heads of 15 numbers"),
        ({"head_dim": "x"}, "head_dim must be a positive number, not 'x'"),
        ({"num_attention_heads": 3}, "hidden_size 64, 3 attention heads"),
        ({"num_attention_heads": 64}, "64 attention heads"),
        ({"num_key_value_heads": 3}, "4 attention heads and 3 key/value heads do not fit"),
        ({"vocab_size": None}, "vocab_size must be a positive number, not None"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a positive number, not 0"),
        ({"hidden_size": "64"}, "hidden_size must be a positive number, not '64'"),
        ({"intermediate_size": True}, "intermediate_size must be a positive number, not True"),
        ({"trained_length": -1}, "trained_length must be a positive number, not -1"),
        ({"rope_theta": "x"}, "could not convert"),
        ({"rope_theta": float("nan")}, "rope_theta must be a positive number, not nan"),
        ({"rms_norm_eps": float("inf")}, "rms_norm_eps must be a positive number, not inf"),
        ({"num_hidden_layers": 1_000_000}, "num_hidden_layers is 1000000, more than any network has"),
        *(({key: most + 1}, f"{key} is {most + 1}, more than") for key, most in MOST.items()),
        ({"mask_token_id": []}, r"mask_token_id cannot be \[\]"),
        ({"model_type": ["Dream"]}, r"model_type cannot be \['Dream'\]"),
    ],
)
def test_what_cannot_be_built_is_refused(values, changed, said):
    with pytest.raises(ValueError, match=said):
        Config.from_json(values | changed)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("nf4", "a form 'nf4'"),
        ({}, "a format without a name"),
        ({"quant_method": "gptq", "bits": 4}, "the format GPTQ with 4 bits"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "the format AWQ with 4 bits"),
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, "the format FP8"),
        ({"quant_method": "compressed-tensors"}, "the format COMPRESSED-TENSORS"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes' eight bits"),
        (NF4 | {"bnb_4bit_quant_type": "fp4"}, "bitsandbytes' four bits of another kind"),
        (NF4 | {"bnb_4bit_use_double_quant": False}, "NF4 without quantised scales"),
        (NF4 | {"bnb_4bit_quant_storage": "bfloat16"}, "NF4 without quantised scales, or stored in other numbers"),
    ],
)
def test_other_quantisations_are_refused_by_their_name(values, value, form):
    with pytest.raises(OtherFormat, match=form) as caught:
        Config.from_json(values | {"quantization_config": value})
    assert "pull the original" in caught.value.hint


@pytest.mark.parametrize(
    "other", [{}, {"quantization_config": None}, {"quantization_config": {"group_size": 64, "bits": 4}}]
)
def test_the_quantisation_of_mlx_is_refused(values, other):
    with pytest.raises(OtherFormat, match="MLX's format with 4 bits"):
        Config.from_json(values | {"quantization": {"group_size": 64, "bits": 4}} | other)


@pytest.mark.parametrize("value", [None, {}, {"type": "default"}, {"rope_type": "default"}])
def test_a_scaling_that_scales_nothing_is_none(values, value):
    assert Config.from_json(values | {"rope_scaling": value}) == Config.from_json(values)


def test_a_config_json_that_cannot_be_used_is_named(values):
    with pytest.raises(BadCheckpoint, match=r"config\.json cannot be used \(vocab_size must be"):
        read_config(values | {"vocab_size": "many"}, ConfigKeys(), name="it")


def test_the_published_size_follows():
    """7.616 B parameters: what the published shards of DiffuCoder hold."""
    assert SEVEN.parameters == 7_615_616_512
    assert SEVEN.kv_cache_bytes(2048, width=2) == 2 * 28 * 512 * 2048 * 2
    assert (SEVEN.head_dim, SEVEN.kv_size, SEVEN.context) == (128, 512, 2048)
    assert len(SEVEN.packed_weights) == 7 * 28
    assert SEVEN.unpackable == ()


def test_the_context_is_the_shorter_of_both_lengths():
    assert replace(SEVEN, trained_length=512).context == 512
    assert replace(SEVEN, max_position_embeddings=100).context == 100


def test_four_bits_are_for_large_networks():
    assert SEVEN.is_large
    assert replace(SEVEN, hidden_size=1024, num_heads=8).is_large
    assert not replace(SEVEN, hidden_size=1008, num_heads=4).is_large


def test_matrices_that_fill_no_whole_blocks_are_not_packed():
    config = Config(512, 64, 160, num_layers=2, num_heads=4, num_kv_heads=1)
    assert config.unpackable == ("k_proj", "v_proj", "down_proj")  # 16 rows; 160 columns
    assert config.packed_weights == {
        f"model.layers.{i}.{name}.weight"
        for i in range(2)
        for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj")
    }


def test_fused_layers_split_into_the_published_ones():
    config = Config(512, 64, 160, num_layers=2, num_heads=4, num_kv_heads=2)
    value = torch.arange(128)
    parts = config.split_fused("model.layers.1.self_attn.qkv_proj.bias", value)
    assert list(parts) == [f"model.layers.1.self_attn.{part}.bias" for part in FUSED["qkv_proj"]]
    assert [len(part) for part in parts.values()] == [64, 32, 32]
    assert torch.equal(torch.cat(list(parts.values())), value)
    assert config.split_fused("model.norm.weight", value) == {"model.norm.weight": value}


configs = st.builds(
    lambda kv, groups, layers, width, vocab, tied: Config(
        vocab_size=vocab,
        hidden_size=kv * groups * 2 * width,
        intermediate_size=4 * width,
        num_layers=layers,
        num_heads=kv * groups,
        num_kv_heads=kv,
        tie_word_embeddings=tied,
    ),
    *(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 8), st.integers(2, 50), st.booleans()),
)


@given(configs)
def test_a_network_has_the_parameters_and_matrices_of_its_config(config):
    with torch.device("meta"):
        model = Transformer(config)
    assert config.parameters == sum(weight.numel() for weight in model.parameters())
    state = model.state_dict()
    shapes = {part: tuple(rows.shape) for name in state for part, rows in config.split_fused(name, state[name]).items()}
    for name, shape in config.matrices.items():
        assert shapes[f"model.layers.0.{name}.weight"] == shape
