"""Suites are the same problems every time, and none of them was trained on."""

from __future__ import annotations

from itertools import groupby

import pytest

from diffucli.errors import UsageError
from diffucli.eval import suites
from diffucli.eval.suites import Suite
from diffucli.mini import held_out
from diffucli.mini.classics import programs


def test_the_suite_of_mini_holds_what_it_was_not_trained_on() -> None:
    found = suites.problems(Suite.mini, limit=4)
    assert found == suites.problems(Suite.mini, limit=4)
    groups = [problem.group for problem in found]
    assert [(group, len(list(each))) for group, each in groupby(groups)] == [
        ("classic task, new phrasing", 4),
        ("program, new phrasing", 4),
        ("new composition", 4),
        ("repair: bracket deleted", 4),
        ("repair: colon dropped", 4),
        ("repair: indentation broken", 4),
        ("repair: line cut", 4),
        ("everyday hole, new shape", 4),
        ("everyday hole, trained shape", 4),
        ("body of a new composition", 4),
        ("line of a classic task, renamed", 4),
        *([("line of open code", 4)] if "line of open code" in groups else []),
    ]
    assert len(set(found)) == len(found)
    fewer = suites.problems(Suite.mini, limit=2)
    composed = [problem for problem in found if problem.group == "new composition"]
    assert [problem for problem in fewer if problem.group == "new composition"] == composed[:2], "the first of more"


def test_groups_are_found_by_parts_of_their_names_in_the_order_of_the_suite() -> None:
    found = suites.problems(Suite.mini, limit=2)
    some = suites.of_groups(found, ["new shape", "cut", "line cut"])
    assert [problem.group for problem in some] == ["repair: line cut"] * 2 + ["everyday hole, new shape"] * 2
    with pytest.raises(UsageError, match="no group has 'cuts'"):
        suites.of_groups(found, ["everyday", "cuts"])


def test_requests_are_half_of_each_kind_as_far_as_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "COMPOSITIONS", 3)
    found = suites.requests(Suite.mini, 5)
    assert [problem.group for problem in found] == ["classic task, new phrasing"] * 3 + ["new composition"] * 2
    assert found[3:] == suites.requests(Suite.mini, 4)[2:]
    assert len(suites.requests(Suite.mini, 9)) == 9
    with pytest.raises(UsageError, match="holds no 100000 requests") as caught:
        suites.requests(Suite.mini, 100_000)
    most = int(caught.value.hint.split()[2])
    assert len(suites.requests(Suite.mini, most)) == most


def test_long_requests_are_held_out_phrasings_of_programs() -> None:
    texts = {request.text for request in held_out.phrasings(tasks=programs())}
    found = suites.long_requests(Suite.mini, len(texts))
    assert {problem.request for problem in found} == texts
    assert suites.long_requests(Suite.mini, 5) == suites.long_requests(Suite.mini, 5)
    with pytest.raises(UsageError, match=f"no {len(texts) + 1} long requests"):
        suites.long_requests(Suite.mini, len(texts) + 1)
