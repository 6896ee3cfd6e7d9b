"""Samples at several temperatures, with their orders: what is recorded, what is computed once, and how it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from diffucli.batch.rows import GenRow
from diffucli.bench import orders
from diffucli.bench.orders import OrderedSample, OrderPlan, OrderProbe, measured
from diffucli.bench.writers import Writer
from diffucli.decode.loop import Returned, together
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Problem
from diffucli.tasks.engine import Effort

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    import torch

    from diffucli.model.load import Checkpoint

PROBLEMS: list[Problem] = [CodeProblem("code", "add one", ""), FillProblem("hole", "x = ", "1 + 2 + 3", "\n")]
PLAN = OrderPlan(PROBLEMS, temperatures=(0.0, 5.0), samples=3, length=6)


def right_if_short(problem: Problem, text: str) -> Judgement:
    return Judgement(passed=isinstance(problem, FillProblem), parses=True, reason="ok")


def test_every_problem_has_a_probe_and_samples_that_write_each_position_once(checkpoint: Checkpoint) -> None:
    found = list(measured(checkpoint, PLAN, judge=right_if_short))
    probes = [each for each in found if isinstance(each, OrderProbe)]
    samples = [each for each in found if isinstance(each, OrderedSample)]
    assert [(each.group, each.problem) for each in probes] == [("code", 0), ("hole", 1)]
    keys = [(each.problem, each.temperature, each.seed) for each in samples]
    assert keys == [(p, t, s) for p in (0, 1) for t, s in ((0.0, 0), (5.0, 0), (5.0, 1), (5.0, 2))]
    tokens = len(checkpoint.tokenizer.encode("1 + 2 + 3"))
    for each in samples:
        assert sorted(each.order) == list(range(6 if each.group == "code" else tokens))
        assert list(each.text) == [at for at in each.order if at in each.text]
        assert sorted(each.text) == list(range(len(each.text))), "text is what stands before the first end"
        assert each.passed is (each.group == "hole")
    assert len({each.answer for each in samples if each.temperature}) > 2, "drawn anew with each seed"
    for probe in probes:
        assert len(probe.entropies) == len(probe.confidences) == (6 if probe.group == "code" else tokens)
        assert probe.others["0"] == 0.0


def test_temperature_1_ranks_as_temperature_0_on_the_same_canvas_and_others_do_not(checkpoint: Checkpoint) -> None:
    plan = replace(PLAN, problems=PROBLEMS[:1], temperatures=(0.2, 1.0, 5.0), samples=1, length=24)
    (probe,) = (e for e in measured(checkpoint, plan, judge=right_if_short) if isinstance(e, OrderProbe))
    assert probe.others["1"] == 0.0
    assert max(probe.others["0.2"], probe.others["5"]) > 0.0


def test_a_measurement_that_was_broken_off_goes_on(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "records"
    whole = list(measured(checkpoint, PLAN, judge=right_if_short))
    path.write_bytes(b"".join(map(orders.to_line, whole[:4])) + orders.to_line(whole[4])[:20])
    known = orders.load_records(path)
    assert known == whole[:4]
    assert path.read_bytes() == b"".join(map(orders.to_line, whole[:4])), "what was cut off is gone"
    rest = list(measured(checkpoint, PLAN, known, judge=right_if_short))
    assert [replace(each, seconds=0.0) for each in rest] == [replace(each, seconds=0.0) for each in whole[4:]]
    assert orders.load_records(tmp_path / "none") == []


def test_equal_canvases_are_computed_once_and_write_what_each_writes_alone(checkpoint: Checkpoint) -> None:
    rows = 0

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(checkpoint.network, name)

        def __call__(self, tokens: torch.Tensor, *given: object, **rest: object) -> torch.Tensor:
            nonlocal rows
            rows += len(tokens)
            return checkpoint.network(tokens, *given, **rest)  # type: ignore[arg-type]

    def written(network: object, seeds: tuple[int, ...]) -> list[str]:
        policies = [orders.policy_at(0.0, seed) for seed in seeds]
        writers = [Writer(checkpoint, policy, effort=Effort(repair=0, doubt=False)) for policy in policies]
        runs = [each.run(GenRow(PROBLEMS[0].request, length=6)) for each in writers]  # type: ignore[union-attr]
        found = dict(item for item in together(network, runs) if isinstance(item[1], Returned))  # type: ignore[arg-type]
        return [found[number].result.text for number in range(len(seeds))]  # type: ignore[union-attr]

    assert written(Counting(), (1, 2, 3)) == written(checkpoint.network, (1,)) * 3
    assert rows == 6, "one canvas a step, for three runs"


def test_a_smaller_plan_is_the_beginning_of_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MOST", 2)
    one, two = orders.plan_of(1), orders.plan_of(2)
    assert list(one.problems) == list(two.problems)[:4]
    assert [each.group for each in two.problems] == [orders.NEW_CODE, *[orders.BODY] * 3] * 2
