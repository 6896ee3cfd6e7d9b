"""The network on transformers' own layers: for training, and as the reference that ours is compared with.

transformers is imported by the first call, since its import takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from diffucli.model import nf4
from diffucli.model.config import FUSED, Config
from diffucli.model.load import put
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import Qwen2Config, Qwen2ForCausalLM

TINY = Config(
    vocab_size=32, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4, num_kv_heads=2,
    max_position_embeddings=64,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """Tokens → logits of whole canvases on transformers' layers; see `Network`."""

    model: Qwen2ForCausalLM
    shift: int
    block: int | None = None

    @torch.no_grad()
    def __call__(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Logits `[len(rows), V]`, float32, of the outputs `rows` of `tokens` `[n]`."""
        mask = None if self.block is None else _block_mask(len(tokens), self.block, self.model.dtype).to(tokens.device)
        outputs = self.model(input_ids=tokens[None], attention_mask=mask, use_cache=False, logits_to_keep=rows)
        logits: Tensor = outputs.logits[0]
        return logits.float()


def configure(config: Config) -> Qwen2Config:
    """Transformers' configuration of a network of `config`, with attention in both directions."""
    nf4.block_hub_kernels()
    from transformers import Qwen2Config

    configuration = Qwen2Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        max_position_embeddings=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        tie_word_embeddings=config.tie_word_embeddings,
        initializer_range=config.initializer_range,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        use_cache=False,
    )
    configuration.is_causal, configuration.head_dim = False, config.head_dim
    return configuration


def untrained(config: Config) -> Qwen2ForCausalLM:
    """A network of `config` with freshly initialised weights, to be trained."""
    configuration = configure(config)
    from transformers import Qwen2ForCausalLM

    return Qwen2ForCausalLM(configuration)


def published(network: Network, config: Config) -> PublishedNetwork:
    """Transformers' network of `config` on the weights of `network`, which are shared and not copied."""
    configuration = configure(config)
    from transformers import Qwen2ForCausalLM
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

    with torch.device("meta"):
        model = Qwen2ForCausalLM(configuration)
    for name, module in list(network.model.named_modules()):
        layer = name.rpartition(".")[2]
        if layer in FUSED:
            _put_split(model, network, config, name)
        elif isinstance(module, nn.Linear | nn.Embedding):
            model.set_submodule(name, module)
        elif "norm" in layer:
            model.get_submodule(name).weight = module.weight
    with network.device:
        model.model.rotary_emb = Qwen2RotaryEmbedding(configuration)
    for layer in () if config.qkv_bias else model.model.layers:
        for name in FUSED["qkv_proj"]:
            layer.self_attn.get_submodule(name).bias = None
    model.eval()  # type: ignore[no-untyped-call]
    return PublishedNetwork(model, network.shift, network.block)


def _block_mask(length: int, block: int, dtype: torch.dtype) -> Tensor:
    """What transformers adds to attention's scores `[1, 1, n, n]` where attention is block-causal."""
    blocks = torch.arange(length) // block
    return torch.zeros(1, 1, length, length, dtype=dtype).masked_fill(blocks[:, None] < blocks, torch.finfo(dtype).min)


def attention_error() -> float:
    """The relative difference between our layers' outputs and transformers' in a tiny network: 0 except for rounding.

    Raises whatever transformers raises.
    """
    torch.manual_seed(0)
    network, tokens, rows = Network(Transformer(TINY)), torch.arange(1, 9), torch.arange(8)
    ours, theirs = network(tokens[None], [rows]), published(network, TINY)(tokens, rows)
    return float((ours - theirs).norm() / theirs.norm())


def split_packed(layer: nn.Linear, rows: Sequence[int]) -> list[nn.Linear]:
    """Layers of so many `rows` each of a `layer` made by `nf4.cat_packed`; they share its memory."""
    weight: Any = layer.weight
    state, (count, columns) = weight.quant_state, weight.quant_state.shape
    if getattr(state, "packing_format_for_cpu", False):
        scales = [part.contiguous() for part in torch.split(state.absmax, list(rows), 1)]
    else:
        scales = [part.reshape(-1) for part in torch.split(state.absmax.view(count, -1), list(rows))]
    data = torch.split(weight.data.view(count, -1), list(rows))
    biases = [None] * len(rows) if layer.bias is None else torch.split(layer.bias, list(rows))
    layers: list[nn.Linear] = []
    for part, scale, bias in zip(data, scales, biases, strict=True):
        like = nn.Linear(columns, part.shape[0], bias=bias is not None, device="meta")
        part_weight = nf4.with_scales(weight, part.view(-1, *weight.shape[1:]), scale, (part.shape[0], columns))
        part_layer = nf4.packed_layer(like, part_weight, state.dtype)
        if bias is not None:
            part_layer.bias = nn.Parameter(bias, requires_grad=False)
        layers.append(part_layer)
    return layers


def _put_split(model: Qwen2ForCausalLM, network: Network, config: Config, name: str) -> None:
    """Gives `model` the published layers of the fused layer `name` of `network`; they share its memory."""
    layer = network.model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    if layer.weight.dtype == torch.uint8:
        parent, _, last = name.rpartition(".")
        rows = config.fused_rows[last]
        for part, split in zip(rows, split_packed(layer, list(rows.values())), strict=True):
            model.set_submodule(f"{parent}.{part}", split)
        return
    for key, value in layer.named_parameters():
        for part, part_rows in config.split_fused(f"{name}.{key}", value.detach()).items():
            put(model, part, part_rows)
