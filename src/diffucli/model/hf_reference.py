"""The network as it was published: transformers' layers around the weights of ours, for training and as a yardstick.

Imported only where it is asked for, as transformers takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from diffucli.model.layers import JOINED
from diffucli.model.materialise import put
from diffucli.model.transformer import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffucli.model.network import Network

KEPT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings"),
    *("attention_dropout", "initializer_range"),
)


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """Tokens → logits of whole canvases; see `Network`."""

    model: Qwen2ForCausalLM
    shift: int

    @torch.no_grad()
    def __call__(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Logits `[len(rows), V]`, float32, of the outputs `rows` of `tokens` `[n]`."""
        logits: Tensor = self.model(input_ids=tokens[None], use_cache=False, logits_to_keep=rows).logits[0]
        return logits.float()


def configure(settings: Mapping[str, Any]) -> Qwen2Config:
    """Transformers' configuration by a published config.json; ValueError where it asks for what is not built here."""
    Size.of(settings)
    kept: dict[str, Any] = {key: settings[key] for key in KEPT if key in settings}
    rope = {"rope_type": "default", "rope_theta": settings.get("rope_theta", 10000.0)}
    config = Qwen2Config(**kept, rope_parameters=rope, use_cache=False)
    config.is_causal = False
    return config


def published(network: Network, settings: Mapping[str, Any]) -> PublishedNetwork:
    """Transformers' network on the very weights of `network`, which `settings` (config.json) describe."""
    config = configure(settings)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    for name, module in list(network.model.named_modules()):
        layer = name.rpartition(".")[2]
        if layer in JOINED:
            _put_apart(model, network, name)
        elif isinstance(module, nn.Linear | nn.Embedding):
            model.set_submodule(name, module)
        elif "norm" in layer:
            model.get_submodule(name).weight = module.weight
    with network.device:
        model.model.rotary_emb = Qwen2RotaryEmbedding(config)
    model.eval()  # type: ignore[no-untyped-call]
    return PublishedNetwork(model, network.shift)


def _put_apart(model: Qwen2ForCausalLM, network: Network, name: str) -> None:
    """Gives `model` the layers that the layer `name` of `network` joins; they share its numbers."""
    size, layer = network.model.model.size, network.model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    if layer.weight.dtype == torch.uint8:
        from diffucli.model import fourbit

        parent, _, last = name.rpartition(".")
        parts = size.joins[last]
        for part, alone in zip(parts, fourbit.apart(layer, list(parts.values())), strict=True):
            model.set_submodule(f"{parent}.{part}", alone)
        return
    for key, value in layer.named_parameters():
        for part, rows in size.apart(f"{name}.{key}", value.detach()).items():
            put(model, part, rows)
