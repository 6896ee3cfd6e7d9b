"""In this process a worker works as it is."""

from __future__ import annotations

from tests.executors.squares import square

from diffucli.executors.executor import ThisProcess


def test_every_item_has_its_outcome_under_its_key() -> None:
    found = dict(ThisProcess().run(square, ((str(n), n) for n in range(5))))
    assert {key: value for key, (value, _) in found.items()} == {"0": 0, "1": 1, "2": 4, "3": 9, "4": 16}


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    outcomes = ThisProcess().run(square, ((str(n), taken.append(n) or n) for n in range(100)))  # type: ignore[func-returns-value]
    next(outcomes)
    assert len(taken) <= 3
