"""Low-rank updates beside linear layers (LoRA, arXiv 2106.09685). The layers may be in four bits and stay as they are.

Knows nothing of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffucli.model.transformer import Transformer


class LowRank(nn.Module):
    """x → scaling · B (A x), what is added to W x.

    lora_A: `[rank, in]`. lora_B: `[out, rank]`. They are parameters without gradients; training asks for gradients.
    """

    def __init__(self, a: Tensor, b: Tensor, scaling: float) -> None:
        super().__init__()
        self.lora_A, self.lora_B = (nn.Parameter(each, requires_grad=False) for each in (a, b))
        self.scaling = scaling

    def forward(self, hidden: Tensor) -> Tensor:
        """`[…, out]` of `hidden` `[…, in]`, in the dtype of A and B."""
        return F.linear(F.linear(hidden.to(self.lora_A.dtype), self.lora_A) * self.scaling, self.lora_B)


class LoraLinear(nn.Module):
    """A linear layer with updates beside it: y = base(x), plus an update in the rows of each published layer in `base`.

    updates: last part of a published layer's name ("q_proj") → its update. rows: the published layers in `base`, from
    the first row on, with the number of rows of each.
    """

    def __init__(self, base: nn.Linear, updates: Mapping[str, LowRank], rows: Mapping[str, int]) -> None:
        super().__init__()
        self.base, self.updates, self.rows = base, nn.ModuleDict(updates), dict(rows)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[…, out]` of `hidden` `[…, in]`, in the dtype of the base's output."""
        parts = list(self.base(hidden).split([*self.rows.values()], -1))
        for i, name in enumerate(self.rows):
            if name in self.updates:
                parts[i] = parts[i] + self.updates[name](hidden).to(parts[i].dtype)
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]


def attach(model: Transformer, updates: Mapping[str, LowRank]) -> None:
    """Puts `updates`, by the published names of layers ("model.layers.0.self_attn.q_proj"), beside those of `model`."""
    fused = model.model.config.fused_rows
    for path, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear):
            stem, _, last = path.rpartition(".")
            rows = fused.get(last, {last: layer.out_features})
            if own := {part: updates[name] for part in rows if (name := f"{stem}.{part}") in updates}:
                model.set_submodule(path, LoraLinear(layer, own, rows))
