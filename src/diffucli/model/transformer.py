"""The layers of Qwen2, Llama and LLaDA. Each position attends to all others, but for those that a mask hides.

The last layer computes only the requested rows. Names are Qwen2's, and numbers those of transformers'
`Qwen2ForCausalLM` with `is_causal=False`, which tests and `diffu bench` compare with, except that layers with the same
input are fused (`config.FUSED`). That class is not used because its
import takes longer than an answer of a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.model.config import Config

Rotary = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class LayerCache:
    """The keys and values `[B, key heads, length, head]` of a layer.

    positions: `[n]` or `[B, n]`, of the evaluated tokens.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor

    def update(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Writes `keys` and `values` `[B, key heads, n, head]` at `positions`; returns those of the whole canvas."""
        if self.positions.ndim == 1:
            self.keys[:, :, self.positions], self.values[:, :, self.positions] = keys, values
        else:
            rows = torch.arange(len(keys), device=keys.device)[:, None]
            self.keys[rows, :, self.positions] = keys.transpose(1, 2)
            self.values[rows, :, self.positions] = values.transpose(1, 2)
        return self.keys, self.values


class Embedding(nn.Embedding):
    """An embedding that is not initialised on the meta device, which would import torch's compiler."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Norm(nn.Module):
    """Root mean square normalisation (arXiv 1910.07467)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(config.hidden_size)), config.rms_norm_eps

    def forward(self, hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, self.weight.shape, self.weight, self.epsilon)


class Attention(nn.Module):
    """Positions attend to each other; heads share keys and values in groups (arXiv 2305.13245)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.groups = (config.num_kv_heads, config.num_heads // config.num_kv_heads, config.head_dim)
        self.widths = tuple(config.fused_rows["qkv_proj"].values())
        self.qkv_proj = nn.Linear(config.hidden_size, sum(self.widths), bias=config.qkv_bias)
        self.o_proj = nn.Linear(self.widths[0], config.hidden_size, bias=False)

    def forward(
        self,
        hidden: Tensor,
        rotary: Rotary,
        rows: Tensor | None,
        cache: LayerCache | None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`[B, r, hidden]` of `hidden` `[B, n, hidden]`: the outputs at `rows`; None: at all positions.

        mask: as `Model.forward` has it.
        """
        (key_heads, shared, head), (cos, sin) = self.groups, rotary
        queries, keys, values = self.qkv_proj(hidden).split(self.widths, -1)
        keys = apply_rotary(keys.unflatten(-1, (key_heads, head)), cos[..., None, :], sin[..., None, :])
        keys, values = keys.transpose(1, 2), values.unflatten(-1, (key_heads, head)).transpose(1, 2)
        if cache is not None:
            keys, values = cache.update(keys, values)
        if rows is not None:
            queries, cos, sin = take(queries, rows), take(cos, rows), take(sin, rows)
        queries = apply_rotary(queries.unflatten(-1, self.groups), cos[..., None, None, :], sin[..., None, None, :])
        queries = queries.permute(0, 2, 3, 1, 4)
        # the heads of a group are further rows of queries for the same keys
        if mask is not None:
            mask = _of_rows(mask, rows, shared)
        mixed = F.scaled_dot_product_attention(queries.flatten(2, 3), keys, values, mask)
        mixed = mixed.view(len(mixed), key_heads, shared, -1, head).permute(0, 3, 1, 2, 4)
        output: Tensor = self.o_proj(mixed.flatten(2))
        return output


class MLP(nn.Module):
    """The gated feed-forward part (SwiGLU, arXiv 2002.05202)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(hidden).chunk(2, -1)
        gated = F.silu(gate) * up if gate.requires_grad else F.silu(gate, inplace=True).mul_(up)
        made: Tensor = self.down_proj(gated)
        return made


class Layer(nn.Module):
    """Attention and MLP, each after a norm and with a residual connection."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config), MLP(config)
        self.input_layernorm, self.post_attention_layernorm = Norm(config), Norm(config)

    def forward(
        self,
        hidden: Tensor,
        rotary: Rotary,
        rows: Tensor | None,
        cache: LayerCache | None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`[B, r, hidden]` at `rows`; None: at all positions."""
        mixed = self.self_attn(self.input_layernorm(hidden), rotary, rows, cache, mask)
        hidden = (hidden if rows is None else take(hidden, rows)) + mixed
        return hidden + self.mlp(self.post_attention_layernorm(hidden))  # type: ignore[no-any-return]


class Model(nn.Module):
    """Embedding, layers and final norm: everything but the head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = Norm(config)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        rows: Tensor | None,
        caches: Sequence[LayerCache] | None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`[B, r, hidden]` of `tokens` `[B, n]` at `positions`; the last layer computes only `rows`.

        mask: true where a query sees a key: `[B, 1, 1, keys]` for all queries of a row, or `[1 or B, 1, n, keys]`;
        None if every query sees all keys.
        """
        hidden = self.embed_tokens(tokens)
        rotary = self.rotary(positions, hidden.dtype)
        for i, layer in enumerate(self.layers):
            wanted = rows if i == self.config.num_layers - 1 else None
            hidden = layer(hidden, rotary, wanted, None if caches is None else caches[i], mask)
        normed: Tensor = self.norm(hidden)
        return normed

    def rotary(self, positions: Tensor, dtype: torch.dtype) -> Rotary:
        """Cosines and sines `[…, n, head / 2]` of the rotary embedding (arXiv 2104.09864), computed in float32."""
        even = torch.arange(0, self.config.head_dim, 2, device=positions.device)
        frequencies = 1.0 / self.config.rope_theta ** (even.float() / self.config.head_dim)
        angles = positions.float()[..., None] * frequencies
        return angles.cos().to(dtype), angles.sin().to(dtype)


class Transformer(nn.Module):
    """Tokens → logits. A tied head shares the weights of the embedding."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.model, self.lm_head = Model(config), nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Gives the head the weights of the embedding if config.json says so."""
        if self.model.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        rows: Tensor | None,
        caches: Sequence[LayerCache] | None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Logits `[B, r, V]` of `tokens` `[B, n]`, at `rows` `[r]` or `[B, r]`; None: at all positions."""
        logits: Tensor = self.lm_head(self.model(tokens, positions, rows, caches, mask))
        return logits


def take(values: Tensor, rows: Tensor) -> Tensor:
    """`values` `[B, n, …]` (or `[n, …]`, the same for all) at `rows` `[r]` or `[B, r]`."""
    if values.ndim == 2:  # noqa: PLR2004 — no batch
        return values[rows]
    if rows.ndim == 1:
        return values[:, rows]
    return values[torch.arange(len(rows), device=rows.device)[:, None], rows]


def _of_rows(mask: Tensor, rows: Tensor | None, shared: int) -> Tensor:
    """`mask` for the queries at `rows`, `shared` times one after the other: once for each head of a group."""
    if mask.shape[2] == 1:
        return mask
    if rows is not None:
        mask = take(mask[:, 0].expand(len(rows) if rows.ndim > 1 else -1, -1, -1), rows)[:, None]
    return mask.repeat(1, 1, shared, 1)


def apply_rotary(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`heads` `[…, head]` rotated by the angles `[…, head / 2]`; its halves are real and imaginary parts."""
    first, second = heads.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
