"""Log-probabilities of tokens with gradients: our own network on canvases of equal length, the head on few rows.

Knows tokens and positions; nothing of views, rewards or text.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.decode.canvas import Span
    from diffucli.model.network import Network

HEAD_ROWS = 512  # rows whose logits are held at a time; with more of them, logits are computed again for gradients


def logprobs(network: Network, tokens: Tensor, span: Span, targets: Tensor, wanted: Tensor) -> Tensor:
    """`[N, L]` log-probabilities (nats, float32) of `targets` `[N, L]` in the `span` of canvases `tokens` `[N, n]`.

    They are computed where `wanted` `[N, L]`, and 0 elsewhere. Unlike `Network`, this keeps gradients.
    """
    device = network.device
    tokens, targets, wanted = tokens.to(device), targets.to(device), wanted.to(device)
    rows = (torch.arange(span.start, span.stop, device=device) - network.shift).clamp(min=0)
    hidden = network.model.model(tokens, torch.arange(tokens.shape[1], device=device), rows, None)
    found = _of_rows(network.model.lm_head, hidden[wanted], targets[wanted])
    return torch.zeros(targets.shape, device=device).index_put((wanted,), found)


def _of_rows(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """`[R]` log-probabilities of `targets` by the hidden states `[R, hidden]`."""
    if len(hidden) <= HEAD_ROWS:
        return _cross_entropy(head, hidden, targets)
    parts = zip(torch.split(hidden, HEAD_ROWS), torch.split(targets, HEAD_ROWS), strict=True)
    return torch.cat([_again(partial(_cross_entropy, head), each, wanted) for each, wanted in parts])


def _cross_entropy(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return -F.cross_entropy(head(hidden).float(), targets, reduction="none")


def recompute_layers(network: Network) -> None:
    """Lets every layer keep its input alone for gradients, and compute the rest again (arXiv 1604.06174)."""
    for layer in network.model.model.layers:
        layer.forward = partial(_again, layer.forward)


def _again(function: Callable[..., Tensor], *given: Tensor | None) -> Tensor:
    """`function(*given)`, computed again for gradients instead of kept."""
    if not torch.is_grad_enabled():
        return function(*given)
    found: Tensor = checkpoint(function, *given, use_reentrant=False, preserve_rng_state=False)
    return found
