"""The layers of Qwen2 with attention in both directions, written for decoding: nothing is finished but what is asked.

Names and numbers are those of transformers' `Qwen2ForCausalLM` with `is_causal=False`, which tests and `diffu bench`
hold it against; but layers that read the same numbers are one layer here (`Size.joins`). It is not used because its
import alone takes longer than an answer of a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from diffucli.model.config import FUSED as JOINED

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = ("rope_scaling", "use_sliding_window", "use_mrope")  # would change the numbers without an error
ACTIVATION = "silu"
Turns = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Size:
    """What config.json says of a network. theta: the base of the rotary frequencies; epsilon: of the norms."""

    words: int
    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    theta: float
    epsilon: float
    tied: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """By a published config.json; ValueError where it asks for what is not built here."""
        for key in UNKNOWN:
            if settings.get(key):
                raise ValueError(f"{key} is not supported")
        if (found := settings.get("hidden_act", ACTIVATION)) != ACTIVATION:
            raise ValueError(f"hidden_act {found!r} is not supported")
        size = cls(
            words=settings["vocab_size"],
            hidden=settings["hidden_size"],
            inner=settings["intermediate_size"],
            layers=settings["num_hidden_layers"],
            heads=settings["num_attention_heads"],
            key_heads=settings.get("num_key_value_heads") or settings["num_attention_heads"],
            theta=float(settings.get("rope_theta", 10000.0)),
            epsilon=float(settings.get("rms_norm_eps", 1e-6)),
            tied=bool(settings.get("tie_word_embeddings", False)),
        )
        if size.hidden % (2 * size.heads) or size.heads % size.key_heads:
            raise ValueError(f"{size.hidden} numbers do not part into {size.heads} heads that share {size.key_heads}")
        return size

    @property
    def head(self) -> int:
        """Numbers of a position in one head."""
        return self.hidden // self.heads

    @property
    def joins(self) -> dict[str, dict[str, int]]:
        """Layer here → the published layers whose rows it holds below each other, and how many of each."""
        queries, keys = self.hidden, self.key_heads * self.head
        rows = {"qkv_proj": (queries, keys, keys), "gate_up_proj": (self.inner, self.inner)}
        return {layer: dict(zip(parts, rows[layer], strict=True)) for layer, parts in JOINED.items()}

    def apart(self, name: str, value: Tensor) -> dict[str, Tensor]:
        """Published name → view of the rows that it has in `value`, the parameter `name` here."""
        layer, leaf = name.rsplit(".", 2)[-2:]
        if layer not in self.joins:
            return {name: value}
        stem, parts = name.removesuffix(f"{layer}.{leaf}"), self.joins[layer]
        rows = torch.split(value, list(parts.values()))
        return {f"{stem}{part}.{leaf}": some for part, some in zip(parts, rows, strict=True)}


@dataclass(frozen=True, slots=True)
class Memory:
    """The keys and values `[1, key heads, length, head]` of a canvas in one layer; a window renews its `positions`.

    Those of a batch share what is kept, which stays as it is: each row is the canvas with a window of its own.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor

    def renew(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Takes over those of the window `[B, key heads, n, head]` and gives those of the whole canvas."""
        kept = self.keys, self.values
        if len(keys) > 1:
            kept = self.keys.repeat(len(keys), 1, 1, 1), self.values.repeat(len(keys), 1, 1, 1)
        kept[0][:, :, self.positions], kept[1][:, :, self.positions] = keys, values
        return kept


class Embedding(nn.Embedding):
    """A table of rows; where it only says its shape nothing is drawn, which would import torch's compiler."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Norm(nn.Module):
    """Root mean square normalisation (arXiv 1910.07467)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(size.hidden)), size.epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, self.weight.shape, self.weight, self.epsilon)


class Attention(nn.Module):
    """Every position attends to every other; heads share keys and values in groups (arXiv 2305.13245)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.groups = (size.key_heads, size.heads // size.key_heads, size.head)
        self.widths = tuple(size.joins["qkv_proj"].values())
        self.qkv_proj = nn.Linear(size.hidden, sum(self.widths))
        self.o_proj = nn.Linear(size.hidden, size.hidden, bias=False)

    def forward(self, hidden: Tensor, turns: Turns, rows: Tensor | None, memory: Memory | None) -> Tensor:
        """`[B, len(rows), hidden]` of `hidden` `[B, n, hidden]`: what the positions `rows`, or all, draw from all."""
        (key_heads, shared, head), cosines, sines = self.groups, *turns
        queries, keys, values = self.qkv_proj(hidden).split(self.widths, -1)
        keys = turned(keys.unflatten(-1, (key_heads, head)), cosines[:, None], sines[:, None])
        keys, values = keys.transpose(1, 2), values.unflatten(-1, (key_heads, head)).transpose(1, 2)
        if memory is not None:
            keys, values = memory.renew(keys, values)
        if rows is not None:
            queries, cosines, sines = queries[:, rows], cosines[rows], sines[rows]
        queries = turned(queries.unflatten(-1, self.groups), cosines[:, None, None], sines[:, None, None])
        queries = queries.permute(0, 2, 3, 1, 4)
        # nothing is hidden from anyone, so the heads of a group are just more rows that ask for the same keys
        drawn = F.scaled_dot_product_attention(queries.flatten(2, 3), keys, values)
        drawn = drawn.view(len(drawn), key_heads, shared, -1, head).permute(0, 3, 1, 2, 4)
        mixed: Tensor = self.o_proj(drawn.flatten(2))
        return mixed


class MLP(nn.Module):
    """The gated feed-forward part (SwiGLU, arXiv 2002.05202)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(size.hidden, 2 * size.inner, bias=False)
        self.down_proj = nn.Linear(size.inner, size.hidden, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(hidden).chunk(2, -1)
        made: Tensor = self.down_proj(F.silu(gate, inplace=True).mul_(up))
        return made


class Layer(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(size), MLP(size)
        self.input_layernorm, self.post_attention_layernorm = Norm(size), Norm(size)

    def forward(self, hidden: Tensor, turns: Turns, rows: Tensor | None, memory: Memory | None) -> Tensor:
        """`[B, len(rows), hidden]`, or of all positions."""
        drawn = self.self_attn(self.input_layernorm(hidden), turns, rows, memory)
        hidden = (hidden if rows is None else hidden[:, rows]) + drawn
        return hidden + self.mlp(self.post_attention_layernorm(hidden))  # type: ignore[no-any-return]


class Body(nn.Module):
    """Everything but the head."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.embed_tokens = Embedding(size.words, size.hidden)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = Norm(size)

    def forward(self, tokens: Tensor, rows: Tensor | None, where: Tensor, memories: list[Memory] | None) -> Tensor:
        """`[B, len(rows), hidden]` of `tokens` `[B, n]` at positions `where`; the last layer computes `rows` alone."""
        hidden = self.embed_tokens(tokens)
        turns = self.turns(where, hidden.dtype)
        for i, layer in enumerate(self.layers):
            asked = rows if i == self.size.layers - 1 else None
            hidden = layer(hidden, turns, asked, None if memories is None else memories[i])
        normed: Tensor = self.norm(hidden)
        return normed

    def turns(self, positions: Tensor, dtype: torch.dtype) -> Turns:
        """Cosines and sines `[n, head / 2]` of the rotary embedding (arXiv 2104.09864), computed in float32."""
        even = torch.arange(0, self.size.head, 2, device=positions.device)
        frequencies = 1.0 / self.size.theta ** (even.float() / self.size.head)
        angles = positions.float()[:, None] * frequencies
        return angles.cos().to(dtype), angles.sin().to(dtype)


class Qwen2(nn.Module):
    """Tokens → logits. A tied head shares the weights of the embedding."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.model, self.lm_head = Body(size), nn.Linear(size.hidden, size.words, bias=False)
        self.tie()

    def tie(self) -> None:
        """Gives the head the weights of the embedding, where config.json says so."""
        if self.model.size.tied:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens: Tensor, rows: Tensor | None, where: Tensor, memories: list[Memory] | None) -> Tensor:
        """Logits `[B, len(rows), V]` of `tokens` `[B, n]` at the positions `where`; None: of all rows."""
        logits: Tensor = self.lm_head(self.model(tokens, rows, where, memories))
        return logits


def turned(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """`heads` `[…, head]`, its two halves as the parts of complex numbers, turned by angles `[…, head / 2]`."""
    first, second = heads.chunk(2, -1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)
