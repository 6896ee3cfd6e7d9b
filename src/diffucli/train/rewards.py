"""Rewards of completions: the share of the tests that pass in the sandbox, or a function of the user's own."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

from diffucli import sandbox
from diffucli.errors import UsageError
from diffucli.train.data import TrainingTask
from diffucli.train.rollouts import Completion

if TYPE_CHECKING:
    from diffucli.sandbox import Confinement

CODE_WEIGHT, FORMAT_WEIGHT = 2.0, 0.5  # of coupled-GRPO (arXiv 2506.20639, section 5)
TEST_SECONDS = 5.0
SIGNATURE = "it is called as f(prompts=…, completions=…, **columns), and returns a number or None for each completion"
Rewards = list[float | None]
Reward = Callable[[Sequence[TrainingTask], Sequence[Completion]], Rewards]


def by_tests(confinement: Confinement, *, workers: int | None = None, seconds: float = TEST_SECONDS) -> Reward:
    """2 · (share of the tests that pass) + 0.5 · format, each test in a sandbox of its own.

    format: 1 for code that came to its end by itself and parses, 0.5 if it does not parse, 0 if it did not end. Tests
    run only where format is 1; equal code is tested once. seconds: limit of wall time of a test.
    """
    share = partial(_share, confinement=confinement, seconds=seconds)

    def reward(tasks: Sequence[TrainingTask], completions: Sequence[Completion]) -> Rewards:
        asked = [
            (each.text, task.tests) if _form(each) == 1 else None for task, each in zip(tasks, completions, strict=True)
        ]
        distinct = [each for each in dict.fromkeys(asked) if each]
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            shares = dict(zip(distinct, pool.map(share, distinct), strict=True))
        return [
            FORMAT_WEIGHT * _form(each) + (CODE_WEIGHT * shares[test] if test else 0.0)
            for test, each in zip(asked, completions, strict=True)
        ]

    return reward


def _form(completion: Completion) -> float:
    return (0.5 + 0.5 * completion.parses) if completion.ended else 0.0


def _share(asked: tuple[str, tuple[str, ...]], *, confinement: Confinement, seconds: float) -> float:
    """The share of the tests that `code` passes; all at once first, since that is all that right code needs."""
    code, tests = asked

    def passes(test: str) -> bool:
        return sandbox.run_tests(code, test, seconds=seconds, confinement=confinement).ok

    if len(tests) > 1 and passes("\n".join(tests)):
        return 1.0
    return sum(map(passes, tests)) / len(tests)


def by_function(name: str) -> Reward:
    """The user's function `name`, "module:function", with TRL's signature. UsageError: there is no such function.

    What it raises or returns is checked: UsageError names the fault.
    """
    function = _function(name)

    def reward(tasks: Sequence[TrainingTask], completions: Sequence[Completion]) -> Rewards:
        names = {key for task in tasks for key in task.columns}
        columns: dict[str, list[Any]] = {key: [task.columns.get(key) for task in tasks] for key in sorted(names)}
        columns["tests"] = [list(task.tests) for task in tasks]
        prompts, texts = [task.prompt for task in tasks], [each.text for each in completions]
        try:
            found = function(prompts=prompts, completions=texts, **columns)
        except (Exception, SystemExit) as exc:
            what = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise UsageError(f"the reward {name} raises {what}", hint=SIGNATURE) from exc
        return _numbers(name, found, len(texts))

    return reward


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f"{name!r} names no reward", hint="give --reward MODULE:FUNCTION")
    here = os.getcwd()  # noqa: PTH109 — as `python -m` has it
    sys.path.insert(0, here)
    try:
        function: Any = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as exc:
        what = " ".join(f"{type(exc).__name__}: {exc}".split())
        raise UsageError(f"the reward {name} cannot be imported ({what})", hint="see docs/training.md") from exc
    finally:
        sys.path.remove(here)
    if not callable(function):
        raise UsageError(f"the reward {name} is no function", hint=SIGNATURE)
    return function  # type: ignore[no-any-return]


def _numbers(name: str, found: object, count: int) -> Rewards:
    """What a reward returned, as numbers. UsageError: it is something else."""
    if not isinstance(found, Sequence) or len(found) != count:
        got = f"{len(found)} rewards" if isinstance(found, Sequence) else f"{type(found).__name__}"
        raise UsageError(f"the reward {name} returns {got} for {count} completions", hint=SIGNATURE)
    numbers: Rewards = []
    for each in found:
        if each is not None and (not isinstance(each, Real) or not math.isfinite(each)):
            raise UsageError(f"the reward {name} returns {each!r}, which is no number", hint=SIGNATURE)
        numbers.append(None if each is None else float(each))
    return numbers
