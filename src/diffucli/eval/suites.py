"""Suites of problems by name, made from what a recipe holds out of training."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.eval.problems import CodeProblem, FillProblem, Problem
    from diffucli.mini.classics import ClassicTask
    from diffucli.mini.held_out import HeldOutHole

COMPOSITIONS, HOLES = 300, 200  # compositions, and problems in each group of holes; all phrasings are used
T = TypeVar("T")


class Suite(StrEnum):
    """The suites that can be evaluated."""

    mini = "mini"


def problems(suite: Suite, *, limit: int | None = None) -> list[Problem]:
    """The problems of `suite`, the same ones every time; at most `limit` a group."""
    from diffucli.eval import everyday
    from diffucli.eval.repairs import broken_programs
    from diffucli.mini import held_out

    assert suite is Suite.mini, "the only one so far"
    holes = min(limit or HOLES, HOLES)
    return [
        *_phrasings(limit),
        *_programs(limit),
        *_compositions(limit),
        *broken_programs(limit),
        *some(everyday.holes(everyday.NEW), limit),
        *some(everyday.holes(everyday.TRAINED), limit),
        *_fills("body of a new composition", held_out.bodies(holes)),
        *_fills("line of a classic task, renamed", held_out.known_lines(holes)),
        *_fills("line of open code", held_out.lines(holes)),
    ]


def of_groups(found: Sequence[Problem], names: Sequence[str]) -> list[Problem]:
    """The problems of those groups whose names contain one of `names`. Raises UsageError if a name is in none."""
    groups = list(dict.fromkeys(problem.group for problem in found))
    for name in names:
        if not any(name in group for group in groups):
            raise UsageError(f"no group has {name!r} in its name", hint=f"the groups are: {'; '.join(groups)}")
    return [problem for problem in found if any(name in problem.group for name in names)]


def long_requests(suite: Suite, count: int) -> list[CodeProblem]:
    """`count` problems of `suite` whose answers are whole programs that nearly fill a canvas; the same ones every time.

    Raises UsageError if there are fewer.
    """
    assert suite is Suite.mini, "the only one so far"
    found = _programs(None)
    if count > len(found):
        raise UsageError(f"the suite {suite} holds no {count} long requests", hint=f"ask for {len(found)} at most")
    return some(found, count)


def requests(suite: Suite, count: int) -> list[CodeProblem]:
    """`count` problems of `suite` that ask for code, the same ones every time.

    Half are new phrasings and half new compositions, as far as there are enough of each. Raises UsageError if there
    are fewer than `count` in all.
    """
    assert suite is Suite.mini, "the only one so far"
    phrased = _phrasings(count - min(count // 2, COMPOSITIONS))
    most = len(phrased) + COMPOSITIONS
    if count > most:
        raise UsageError(f"the suite {suite} holds no {count} requests", hint=f"ask for {most} at most")
    return [*phrased, *_compositions(count - len(phrased))]


def _phrasings(limit: int | None) -> list[CodeProblem]:
    from diffucli.mini.classics import classics, programs

    return some(_phrased("classic task, new phrasing", [task for task in classics() if task not in programs()]), limit)


def _programs(limit: int | None) -> list[CodeProblem]:
    from diffucli.mini.classics import programs

    return some(_phrased("program, new phrasing", programs()), limit)


def _phrased(group: str, tasks: Sequence[ClassicTask]) -> list[CodeProblem]:
    from diffucli.eval.problems import CodeProblem
    from diffucli.mini import held_out

    return [CodeProblem(group, each.text, each.tests) for each in held_out.phrasings(tasks=tasks)]


def _compositions(limit: int | None) -> list[CodeProblem]:
    from diffucli.eval.problems import CodeProblem
    from diffucli.mini import held_out

    found = held_out.compositions(COMPOSITIONS if limit is None else min(limit, COMPOSITIONS))
    return [CodeProblem("new composition", each.text, each.tests) for each in found]


def _fills(group: str, holes: Sequence[HeldOutHole]) -> list[FillProblem]:
    from diffucli.eval.problems import FillProblem

    return [FillProblem(group, each.before, each.text, each.after, each.tests) for each in holes]


def some(items: Sequence[T], limit: int | None) -> list[T]:
    """`limit` of the items, chosen at random with a fixed seed, in their original order."""
    if limit is None or limit >= len(items):
        return list(items)
    chosen = sorted(random.Random(0).sample(range(len(items)), limit))
    return [items[i] for i in chosen]
