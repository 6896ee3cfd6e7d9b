"""Rewards: tests and format in the sandbox, and the user's own function with all that can be wrong with it."""

from __future__ import annotations

import pytest

from diffucli.decode.canvas import Span
from diffucli.errors import UsageError
from diffucli.sandbox import strongest
from diffucli.train.data import TrainingTask
from diffucli.train.rewards import by_function, by_tests
from diffucli.train.rollouts import Completion

TASK = TrainingTask("add one", ("assert candidate(1) == 2", "assert candidate(2) == 3"), {"level": 3})


def completion(text, *, ended=True, parses=True):
    return Completion((), Span(0, 0), 1, text, ended, parses, 0.0)


def test_the_share_of_the_tests_counts_twice_and_the_format_half():
    right, wrong = "def f(n):\n    return n + 1\n", "def f(n):\n    return 2\n"
    found = by_tests(strongest(), workers=2)(
        [TASK] * 5,
        [
            completion(right),
            completion(wrong),
            completion("def f(:", parses=False),
            completion(right, ended=False),
            completion(right),
        ],
    )
    assert found == [2.5, 1.5, 0.25, 0.0, 2.5]


def test_a_users_function_gets_what_trl_gives(tmp_path, monkeypatch):
    (tmp_path / "mine_a.py").write_text(
        "def reward(prompts, completions, level, tests, **_):\n"
        "    assert prompts == ['add one'] * 2 and tests[0][0].startswith('assert')\n"
        "    return [len(completions[0]) + level[0], None]\n"
    )
    monkeypatch.chdir(tmp_path)
    assert by_function("mine_a:reward")([TASK] * 2, [completion("xy"), completion("z")]) == [5.0, None]


def test_a_number_of_numpy_is_a_number(tmp_path, monkeypatch):
    body = "import numpy\ndef reward(prompts, completions, **_):\n    return list(numpy.float32([0.5]))\n"
    (tmp_path / "mine_numpy.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    assert by_function("mine_numpy:reward")([TASK], [completion("x")]) == [0.5]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no luck')", "raises ValueError: no luck"),
        ("raise SystemExit(3)", "raises SystemExit: 3"),
        ("return [1.0]", "returns 1 rewards for 2 completions"),
        ("return 1.0", "returns float for 2 completions"),
        ("return [1.0, float('nan')]", "returns nan, which is no number"),
        ("return [1.0, 'good']", "returns 'good', which is no number"),
    ],
)
def test_a_function_that_errs_is_told_in_one_line(tmp_path, monkeypatch, body, message):
    name = f"mine_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(f"def reward(prompts, completions, **_):\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        by_function(f"{name}:reward")([TASK] * 2, [completion("x")] * 2)
    assert str(caught.value) == f"the reward {name}:reward {message}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reward", "names no reward"),
        ("nowhere_at_all:reward", "cannot be imported"),
        ("json:nothing", "cannot be imported"),
        ("string:digits", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_told(name, message):
    with pytest.raises(UsageError, match=message):
        by_function(name)
