"""The method on the golden checkpoint: masks, old and reference scores, filtering, and that rewards rise."""

from __future__ import annotations

import pytest
import torch

from diffucli.train.rollouts import roll_out
from diffucli.train.surrogate import advantages


def gradients(method, batch, index):
    """The gradients of a pass, flat."""
    for parameter in method.trainer.weights.parameters:
        parameter.grad = None
    for part in batch.passes[index]():
        part.loss.backward()
    return torch.cat([each.grad.flatten() for each in method.trainer.weights.parameters if each.grad is not None])


@pytest.mark.parametrize("algorithm", ["coupled", "full", "decoupled", "espo"])
def test_current_old_and_reference_weights_see_the_same_masks(make_grpo, algorithm):
    """Before the first update all ratios are 1 and the divergence is 0, in every pass, though masks are random."""
    method = make_grpo(algorithm=algorithm)
    batch = method.batch(0)
    assert len(batch.passes) == 2
    for each in batch.passes:
        parts = list(each())
        assert sum(part.figures["kl"] for part in parts) == pytest.approx(0, abs=1e-8)
        assert sum(part.figures["clipped"] for part in parts) == 0


def test_masks_alternate_by_pass_and_not_by_micro_batch(make_grpo):
    """The public code picks them by the number of the step, so that with gradient accumulation they never alternate."""
    micro, single = make_grpo(), make_grpo(micro_batch=1)
    micros = {1: [], 8: []}
    for method, size in ((micro, 8), (single, 1)):
        groups = roll_out(
            method.trainer.weights.checkpoint,
            requests(method),
            method.policy,
            seeds=[1, 2],
            count=4,
        )
        rewards = torch.tensor([[float(len(each.text)) for each in group] for group in groups])
        for one in method._micro_batches([0, 1], groups, rewards):
            first, second = (method._views(0, i, one).masked for i in (0, 1))
            assert not torch.equal(first, second), "each pass has its own masks"
            assert torch.equal(first, method._views(0, 0, one).masked), "that do not change when they are asked again"
            micros[size] += [(key, first[:, i], second[:, i]) for i, key in enumerate(one.keys)]
    alone = {key: rest for key, *rest in micros[1]}
    assert len(alone) == len(micros[8]) > 4
    for key, *rest in micros[8]:
        assert all(torch.equal(a, b) for a, b in zip(rest, alone[key], strict=True)), "nor with the micro-batch"


def requests(method):
    from diffucli.tasks.generate import Request

    return [Request(task.prompt, length=method.settings.length) for task in method.tasks[:2]]


def test_the_gradient_does_not_depend_on_the_micro_batch(make_grpo):
    whole, single = make_grpo(), make_grpo(micro_batch=1)
    for index in (0, 1):
        one, other = (gradients(method, method.batch(0), index) for method in (whole, single))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
        assert one.norm() > 1e-3


def test_groups_of_equal_rewards_are_left_out(make_grpo):
    def constant(tasks, completions):
        return [1.0] * len(completions)

    batch = make_grpo(reward=constant).batch(0)
    assert batch.passes == ()
    assert (batch.figures["reward"], batch.figures["mixed"]) == (1.0, 0.0)

    def half(tasks, completions):
        return [float(i) if task.prompt == tasks[0].prompt else None for i, task in enumerate(tasks)]

    some = make_grpo(reward=half)
    assert some.batch(0).figures["mixed"] == 0.5
    assert advantages(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), "mean")[0, 0] == -1.5


def test_masking_probabilities_are_one_for_a_batch_or_spread_over_a_group(make_grpo):
    def shares(method):
        groups = roll_out(method.trainer.weights.checkpoint, requests(method), method.policy, seeds=[1, 2], count=4)
        rewards = torch.arange(8.0).view(2, 4)
        (one,) = method._micro_batches([0, 1], groups, rewards)
        weight = method._views(0, 0, one).weight[0]
        return {round(float(1 / (2 * row.max())), 4) for row in weight if row.max() > 0}

    assert len(shares(make_grpo())) == 1
    assert len(shares(make_grpo(stratified=True))) > 4


def test_the_reward_rises(make_trainer, make_grpo):
    trainer = make_trainer(updates=10, rate=2e-2)
    method = make_grpo(trainer, beta=0.0)
    found = [each.figures["reward"] for each in trainer.train(method, save=lambda: None, every=99)]
    assert sum(found[-2:]) > 1.3 * sum(found[:2])
