"""Small proofs that the libraries below compute what we need: four-bit products, and transformers' layers as ours.

Takes no checkpoint and a fraction of a second.
"""

from __future__ import annotations

import torch

from diffucli.model.network import Network
from diffucli.model.transformer import Qwen2, Size

TINY = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def four_bit_error(device: torch.device) -> float:
    """How far a product with a four-bit matrix is from the float32 one, relative to its size; NF4's own is about 0.1.

    Raises whatever bitsandbytes raises.
    """
    from bitsandbytes.nn.modules import Linear4bit

    rng = torch.Generator().manual_seed(0)
    weight, given = torch.randn(256, 512, generator=rng), torch.randn(4, 512, generator=rng)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    layer = Linear4bit(512, 256, bias=False, compute_dtype=dtype, quant_type="nf4")  # type: ignore[no-untyped-call]
    layer.weight.data = weight
    layer = layer.to(device)
    layer.eval()
    with torch.no_grad():
        found = layer(given.to(device, dtype)).float().cpu()
    wanted = given @ weight.T
    return float((found - wanted).norm() / wanted.norm())


def attention_error() -> float:
    """How far our layers are from transformers' in a tiny network, relative to its outputs: 0 but for rounding.

    Raises whatever transformers raises.
    """
    from diffucli.model.hf_reference import published

    torch.manual_seed(0)
    network, tokens, rows = Network(Qwen2(Size.of(TINY))), torch.arange(1, 9), torch.arange(8)
    ours, theirs = network(tokens, rows), published(network, TINY)(tokens, rows)
    return float((ours - theirs).norm() / theirs.norm())
