"""Products by a weight in oneDNN's order are those of the weight itself, for as long as it is the same weight."""

from __future__ import annotations

import copy

import pytest
import torch  # noqa: TID253

from diffucli.model.linear import Linear


@pytest.fixture
def layer() -> Linear:
    """With a bias, in order; the numbers are the same each time."""
    torch.manual_seed(0)
    made = Linear(24, 40, bias=True)
    made.requires_grad_(False)
    made.order()
    assert made._ordered is not None, "this torch cannot order weights: decoding on a CPU is a quarter slower"
    return made


@pytest.mark.parametrize("shape", [(1, 24), (33, 24), (1, 300, 24), (4, 7, 24), (0, 24)])
def test_the_products_are_those_of_torch(layer, shape):
    given = torch.randn(shape)
    wanted = torch.nn.functional.linear(given, layer.weight, layer.bias)
    torch.testing.assert_close(layer(given), wanted, atol=1e-5, rtol=1e-5)


def test_every_other_row_of_something_wider_is_multiplied_too(layer):
    given = torch.randn(9, 60)[::2, 10:34]
    wanted = torch.nn.functional.linear(given, layer.weight, layer.bias)
    torch.testing.assert_close(layer(given), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("how", ["in place", "another"])
def test_a_weight_that_has_changed_counts_at_once(layer, how):
    given, before = torch.randn(3, 24), layer.weight.clone()
    if how == "in place":
        layer.weight.mul_(2)
    else:
        layer.weight.data = 2 * before
    torch.testing.assert_close(layer(given), torch.nn.functional.linear(given, 2 * before, layer.bias))
    layer.order()
    torch.testing.assert_close(layer(given), torch.nn.functional.linear(given, 2 * before, layer.bias))


def test_a_copy_has_its_own_weight(layer):
    other = copy.deepcopy(layer)
    other.weight.zero_()
    given = torch.randn(3, 24)
    torch.testing.assert_close(other(given), layer.bias.expand(3, 40))
    torch.testing.assert_close(layer(given), torch.nn.functional.linear(given, layer.weight, layer.bias))


def nothing_like_it(*_: object) -> torch.Tensor:
    raise AttributeError("there is no such operator")


def something_else(given: torch.Tensor, *_: object) -> torch.Tensor:
    return given.new_zeros(*given.shape[:-1], 40)


@pytest.mark.parametrize("operator", [nothing_like_it, something_else])
def test_what_fails_or_differs_is_not_used(layer, operator, monkeypatch):
    """Another torch may have other operators."""
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", operator)
    layer.order()
    given = torch.randn(3, 24)
    assert torch.equal(layer(given), torch.nn.functional.linear(given, layer.weight, layer.bias))


@pytest.mark.parametrize("changed", [lambda it: it.to(torch.bfloat16), lambda it: it.to("meta")])
def test_only_float32_on_a_cpu_is_ordered(layer, changed):
    other = changed(copy.deepcopy(layer))
    other.order()
    assert other._ordered is None
