"""transformers' layers on our weights give our logits, packed or not, and share the memory of the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffucli.model.config import Config
from diffucli.model.load import load
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer
from diffucli.train import hf_reference
from diffucli.train.hf_reference import attention_error, configure, published, untrained

TOKENS, ROWS = torch.arange(1, 30), torch.arange(29)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"rope_theta": 5e5, "rms_norm_eps": 1e-3},
        {"num_kv_heads": 1},
        {"num_kv_heads": 4},
        {"num_heads": 2, "num_kv_heads": 2},
        {"num_kv_heads": 4, "tie_word_embeddings": True},
        {"qkv_bias": False},
        {"head_dim": 32},
    ],
)
def test_the_numbers_are_those_of_transformers_layers(checkpoint, changed):
    """On weights that are not read from a file, in shapes that no file here has."""
    config = replace(checkpoint.config, **{"head_dim": 0, **changed})
    torch.manual_seed(0)
    ours = Network(Transformer(config), block=8 if changed.get("head_dim") else None)
    for name, weight in ours.model.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.normal_(weight)
    tokens, rows = torch.randint(0, 500, (40,)), torch.randperm(40)[:17]
    theirs = published(ours, config)
    torch.testing.assert_close(ours(tokens[None], [rows]), theirs(tokens, rows), atol=1e-5, rtol=1e-5)
    assert theirs.model.lm_head.weight is ours.model.lm_head.weight, "weights are shared"


def test_transformers_layers_compute_the_same_with_four_bits(packed):
    checkpoint = load(packed, device="cpu", quant="nf4")
    theirs = published(checkpoint.network, checkpoint.config)(TOKENS, ROWS)
    assert torch.cosine_similarity(theirs, checkpoint.network(TOKENS[None], [ROWS])).min() > 0.98


def test_the_layers_agree_to_rounding():
    assert 0 <= attention_error() < 1e-5


def test_a_difference_between_the_layers_shows(monkeypatch):
    """As it would if transformers attended to earlier positions only."""
    real = hf_reference.configure

    def causal(config: Config) -> object:
        configuration = real(config)
        configuration.is_causal = True
        return configuration

    monkeypatch.setattr(hf_reference, "configure", causal)
    assert attention_error() > 1e-3


def test_the_configuration_has_every_number_of_ours(checkpoint):
    config = replace(checkpoint.config, rope_theta=5e5, rms_norm_eps=1e-3, tie_word_embeddings=True)
    found = configure(config)
    assert (found.num_hidden_layers, found.num_attention_heads, found.num_key_value_heads) == (3, 4, 2)
    assert (found.vocab_size, found.hidden_size, found.intermediate_size) == (512, 64, 160)
    assert (found.rope_parameters["rope_theta"], found.rms_norm_eps, found.tie_word_embeddings) == (5e5, 1e-3, True)
    assert found.is_causal is False


def test_an_untrained_network_is_drawn_as_wide_as_the_config_says():
    for std in (0.02, 0.5):
        config = Config(64, 32, 64, num_layers=2, num_heads=2, num_kv_heads=1, initializer_range=std)
        weight = untrained(config).model.layers[0].mlp.up_proj.weight
        assert weight.std().item() == pytest.approx(std, rel=0.1)
