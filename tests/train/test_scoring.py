"""Log-probabilities with gradients are those of the network, however they are computed; four bits let them through."""

from __future__ import annotations

import pytest
import torch

from diffucli.decode.canvas import Span
from diffucli.model.load import load
from diffucli.train import scoring
from diffucli.train.scoring import logprobs, recompute_layers
from diffucli.train.weights import TrainedWeights

RNG = torch.Generator().manual_seed(0)
TOKENS = torch.randint(0, 480, (3, 20), generator=RNG)
SPAN = Span(8, 18)
TARGETS = torch.randint(0, 480, (3, 10), generator=RNG)
WANTED = torch.rand(3, 10, generator=RNG) < 0.6


def gradients(checkpoint):
    found = logprobs(checkpoint.network, TOKENS, SPAN, TARGETS, WANTED)
    for parameter in checkpoint.network.model.parameters():
        parameter.grad = None
    found.sum().backward()
    return found.detach(), checkpoint.network.model.model.embed_tokens.weight.grad.clone()


@pytest.fixture
def fresh(golden):
    checkpoint = load(golden, device="cpu", trained=True)
    TrainedWeights(checkpoint, rank=0, with_reference=False)
    return checkpoint


def test_they_are_those_of_the_network(fresh):
    found, _ = gradients(fresh)
    for row in range(3):
        logits = fresh.network(TOKENS[row : row + 1], [torch.arange(7, 17)])
        expected = logits.log_softmax(-1).gather(1, TARGETS[row][:, None])[:, 0]
        torch.testing.assert_close(found[row], torch.where(WANTED[row], expected, 0.0), rtol=1e-5, atol=1e-5)


def test_what_is_computed_again_gives_the_same_gradients(fresh, monkeypatch):
    plain = gradients(fresh)
    monkeypatch.setattr(scoring, "HEAD_ROWS", 4)
    chunked = gradients(fresh)
    recompute_layers(fresh.network)
    for one in (chunked, gradients(fresh)):
        torch.testing.assert_close(one, plain, rtol=1e-3, atol=1e-5)


def test_gradients_flow_through_four_bits(packed):
    """Into the adapter of the first layer, through those of all others; on every CPU in the same order of bytes."""
    checkpoint = load(packed, device="cpu", quant="nf4", trained=True)
    weights = TrainedWeights(checkpoint, rank=4, with_reference=True)
    with torch.no_grad():
        checkpoint.network(TOKENS, [torch.arange(3)] * 3)  # as a rollout does
        for name, parameter in weights.named.items():
            parameter.add_(0.1 * ("lora_B" in name))
    logprobs(checkpoint.network, TOKENS, SPAN, TARGETS, WANTED).sum().backward()
    first = weights.named["model.layers.0.self_attn.q_proj.lora_B"]
    assert first.grad.norm() > 0
    step, before = 1e-2 * first.grad / first.grad.norm(), None
    with torch.no_grad():
        before = logprobs(checkpoint.network, TOKENS, SPAN, TARGETS, WANTED).sum()
        first += step
        after = logprobs(checkpoint.network, TOKENS, SPAN, TARGETS, WANTED).sum()
    assert after > before
