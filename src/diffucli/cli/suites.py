"""Suites of problems by name: what a recipe kept from training, as problems that can be evaluated."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.eval.problems import AnyProblem

COMPOSITIONS, LINES = 300, 200  # problems; of the phrasings, all
T = TypeVar("T")


class Suite(StrEnum):
    """What can be evaluated."""

    mini = "mini"


def problems(suite: Suite, *, limit: int | None = None) -> list[AnyProblem]:
    """The problems of `suite`, always the same ones; at most `limit` a group, picked evenly."""
    from diffucli.eval.problems import FillProblem, Problem
    from diffucli.train.mini import held_out

    assert suite is Suite.mini, "the only one so far"
    phrasings = _some(held_out.phrasings(), limit)
    compositions = held_out.compositions(min(limit or COMPOSITIONS, COMPOSITIONS))
    lines = held_out.lines(min(limit or LINES, LINES))
    return [
        *(Problem("classic task, new phrasing", each.text, each.tests) for each in phrasings),
        *(Problem("new composition", each.text, each.tests) for each in compositions),
        *(FillProblem("one line of open code", each.before, each.text, each.after) for each in lines),
    ]


def _some(items: Sequence[T], limit: int | None) -> list[T]:
    """`limit` of the items, their order kept."""
    if limit is None or limit >= len(items):
        return list(items)
    chosen = sorted(random.Random(0).sample(range(len(items)), limit))
    return [items[i] for i in chosen]
