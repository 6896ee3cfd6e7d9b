"""The layers by the formulas of their papers: rotary embedding, norms, grouped attention, a head that may be tied."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.model.config import Config
from diffucli.model.transformer import LayerCache, Model, Norm, Transformer, apply_rotary, take

CONFIG = Config(64, 32, 48, num_layers=2, num_heads=4, num_kv_heads=2, rms_norm_eps=1e-5)


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(CONFIG).eval()


def rotated(heads: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    with torch.device("meta"):
        shape = Model(CONFIG)
    return apply_rotary(heads, *shape.rotary(positions, torch.float32))


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_rotated_products_depend_on_the_distance_alone(first, second, moved):
    rng = torch.Generator().manual_seed(first)
    query, key = (torch.randn(1, CONFIG.head_dim, generator=rng) for _ in range(2))

    def product(one: int, other: int) -> torch.Tensor:
        return (rotated(query, torch.tensor([one])) * rotated(key, torch.tensor([other]))).sum()

    torch.testing.assert_close(product(first, second), product(first + moved, second + moved), atol=1e-3, rtol=1e-3)


def test_a_rotation_keeps_lengths_and_leaves_position_0_alone():
    heads = torch.randn(9, CONFIG.head_dim)
    turned = rotated(heads, torch.arange(9))
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))
    torch.testing.assert_close(turned[0], heads[0])
    assert not torch.allclose(turned[1], heads[1])


def test_the_first_pair_turns_by_one_radian_a_position():
    """The halves are the two parts of complex numbers, as in Qwen2, not neighbours."""
    heads = torch.zeros(1, CONFIG.head_dim)
    heads[0, 0] = 1.0
    turned = rotated(heads, torch.tensor([2]))
    expected = torch.zeros(1, CONFIG.head_dim)
    expected[0, 0], expected[0, CONFIG.head_dim // 2] = torch.tensor(2.0).cos(), torch.tensor(2.0).sin()
    torch.testing.assert_close(turned, expected)


def test_a_norm_divides_by_the_root_of_the_mean_square():
    norm, hidden = Norm(CONFIG), torch.randn(2, 5, 32)
    norm.weight.data.uniform_(0.5, 2)
    expected = hidden / (hidden.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm(hidden), expected)


def test_heads_of_a_group_share_keys_and_values(model):
    """By the formula, head by head."""
    attention, hidden = model.model.layers[0].self_attn, torch.randn(1, 7, 32)
    rotary = model.model.rotary(torch.arange(7), torch.float32)
    queries, keys, values = attention.qkv_proj(hidden)[0].split([32, 16, 16], -1)
    mixed = []
    for head in range(4):
        group = head // 2
        query = apply_rotary(queries[:, 8 * head : 8 * head + 8], *rotary)
        key = apply_rotary(keys[:, 8 * group : 8 * group + 8], *rotary)
        mixed.append((query @ key.T / 8**0.5).softmax(-1) @ values[:, 8 * group : 8 * group + 8])
    expected = attention.o_proj(torch.cat(mixed, -1))
    torch.testing.assert_close(attention(hidden, rotary, None, None)[0], expected, atol=1e-5, rtol=1e-5)


def test_a_mask_hides_keys_from_a_row(model):
    """As if they were not there."""
    attention, hidden = model.model.layers[0].self_attn, torch.randn(1, 6, 32)
    cache = LayerCache(torch.zeros(1, 2, 9, 8), torch.zeros(1, 2, 9, 8), torch.arange(6))
    mask = (torch.arange(9) < 6)[None, None, None]
    rotary = model.model.rotary(torch.arange(6), torch.float32)
    hidden_alone = attention(hidden, rotary, None, None)
    torch.testing.assert_close(attention(hidden, rotary, None, cache, mask), hidden_alone, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(attention(hidden, rotary, None, cache), hidden_alone, atol=1e-6)


@pytest.mark.parametrize("rows", [torch.tensor([4, 0]), torch.tensor([[4, 0], [1, 1], [3, 2]])])
def test_only_the_rows_asked_for_are_computed_by_the_last_layer(model, rows):
    tokens, positions = torch.randint(0, 64, (3, 5)), torch.arange(5)
    with torch.no_grad():
        whole, few = model(tokens, positions, None, None), model(tokens, positions, rows, None)
    torch.testing.assert_close(few, take(whole, rows), atol=1e-5, rtol=1e-5)


def test_a_tied_head_is_the_embedding():
    tied = Transformer(replace(CONFIG, tie_word_embeddings=True))
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    other = Transformer(CONFIG)
    assert other.lm_head.weight is not other.model.embed_tokens.weight


def test_on_the_meta_device_nothing_is_drawn():
    with torch.device("meta"):
        model = Transformer(CONFIG)
    assert all(weight.is_meta for weight in model.parameters())
