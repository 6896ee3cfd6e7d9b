"""Outputs are compared as EvalPlus compares them; test_official.py asks EvalPlus itself."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from diffucli.eval.differential import arguments, is_close, require_equal


def order(canonical: str, inputs: list[Any], *, name: str = "f", dataset: str = "humaneval", atol: float = 0) -> str:
    task = {"task_id": "X/1", "dataset": dataset, "entry_point": name, "canonical": canonical}
    return json.dumps({**task, "inputs": inputs, "atol": atol})


def passes(function: Any, told: str) -> bool:
    try:
        require_equal(function, told)
    except (AssertionError, TypeError):
        return False
    return True


def test_floats_have_a_tolerance_from_the_first_one_on() -> None:
    told = order("def f(x): return x", [[1], [0.5], [2]])
    assert passes(lambda x: x, told)
    assert passes(lambda x: x + 1e-8 if x == 0.5 else x, told)
    assert not passes(lambda x: x + 1e-8 if x == 1 else x, told), "no float has come yet"
    assert not passes(lambda x: x + 1e-3, told)
    assert passes(lambda x: x + (1e-7 if x == 0.5 else 0), told)


def test_types_and_lengths_count_where_values_are_only_close() -> None:
    told = order("def f(x): return [x, 0.5]", [[1.0]], atol=0.01)
    assert passes(lambda x: [x, 0.501], told)
    assert not passes(lambda x: (x, 0.501), told)
    assert not passes(lambda x: [x, 0.5, 0.5], told)
    assert not passes(lambda x: [x, "0.5"], told)


def test_inputs_are_not_those_that_the_canonical_solution_has_changed() -> None:
    told = order("def f(x):\n    x.append(1)\n    return x", [[[]], [[2]]])
    assert passes(lambda x: [*x, 1], told)


def test_what_takes_four_times_as_long_and_a_second_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffucli.eval import differential

    monkeypatch.setattr(differential, "SHORTEST", 0.05)

    def slow(x: int) -> int:
        while True:
            x += 1

    with pytest.raises(TimeoutError):
        require_equal(slow, order("def f(x): return x", [[1]]))


@pytest.mark.parametrize(
    ("out", "wanted", "expected"),
    [
        (1.0, 1.0 + 5e-7, True),
        (1.0, 1.1, False),
        ([1, [2.0]], [1, [2.0 + 1e-7]], True),
        (math.inf, math.inf, True),
        (1.0, math.inf, False),
        (math.nan, math.nan, False),
        (1j, 1j + 1e-7, True),
    ],
)
def test_closeness_is_that_of_numpy(out: Any, wanted: Any, expected: bool) -> None:
    import numpy as np

    assert is_close(out, wanted, 1e-6) is expected
    if not isinstance(wanted, list):
        assert bool(np.allclose(out, wanted, rtol=1e-7, atol=1e-6)) is expected


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        ("2", [[1], [2]], [(1,), (2,)]),
        ("63", [[[1, 2]]], [[(1, 2)]]),
        ("75", [[[1]], 3], [[(1,)], 3]),
        ("106", [[1], [2]], [[1], (2,)]),
        ("115", [[[1, 1], []]], [[{1}, {}]]),
        ("124", ["1.5", "1j"], [1.5, 1j]),
        ("252", ["2+1j"], [2 + 1j]),
        ("250", [[1], 2], [(1,), 2]),
        ("307", [[1], 2, 3], [(1,), 2, 3]),
        ("259", [[[1]], [[2]]], [((1,),), ((2,),)]),
        ("278", [[1, [2]]], [[1, (2,)]]),
        ("722", [{"a": [1]}, 2], [{"a": (1,)}, 2]),
        ("580", [[1, [2, [3]]]], [(1, (2, (3,)))]),
        ("9999", [[1]], [[1]]),
    ],
)
def test_arguments_of_mbpp_are_what_json_cannot_hold(task: str, given: list[Any], expected: list[Any]) -> None:
    assert arguments("mbpp", f"Mbpp/{task}", given) == expected
    assert arguments("humaneval", f"HumanEval/{task}", given) == given
