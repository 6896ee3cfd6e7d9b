"""Every item has one outcome, in whatever order members answer and however they die."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.errors import ModelError
from diffucli.executors.executor import Failure
from diffucli.executors.pool import DEATHS, STILLBORN, Heard, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.executors.pool import Entry


class Double:
    """A member that doubles numbers when it is told to, in any order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.is_ready = self.is_ending = self.is_stopped = False

    def give(self, entry: Entry) -> None:
        assert not self.is_ending, "nothing comes behind the end"
        self.entries.append(entry)

    def end(self) -> None:
        self.is_ending = True

    def stop(self) -> None:
        self.is_stopped = True


class Fickle:
    """Staff that answers in random order, and dies at random or of certain items."""

    def __init__(self, seed: int, *, deaths: int = 0, deadly: frozenset[int] = frozenset(), unready: int = 0) -> None:
        self.rng, self.deaths, self.deadly, self.unready = random.Random(seed), deaths, deadly, unready
        self.members: list[Double] = []
        self.most = 0

    def start(self) -> Double:
        self.members.append(Double())
        return self.members[-1]

    def listen(self, members: Sequence[Any]) -> Iterator[Heard]:
        self.most = max(self.most, *(len(member.entries) for member in members))
        assert any(member.entries or member.is_ending or not member.is_ready for member in members), "else it waits"
        member = self.rng.choice([m for m in members if m.entries or m.is_ending or not m.is_ready])
        if not member.is_ready:
            if self.unready:
                self.unready -= 1
                yield Heard(member, "died", value="young")
            else:
                member.is_ready = True
                yield Heard(member, "ready")
        elif not member.entries:
            yield Heard(member, "ended")
        elif self.deaths and self.rng.random() < 0.3:
            self.deaths -= 1
            yield Heard(member, "died", value="by chance")
        else:
            key, item = member.entries[index := self.rng.randrange(len(member.entries))]
            if item in self.deadly:
                yield Heard(member, "died", value="of it")
            else:
                del member.entries[index]
                yield Heard(member, "done", key, 2 * item)


def items(count: int) -> Iterator[tuple[str, int]]:
    return ((f"k{n}", n) for n in range(count))


@given(seed=st.integers(0, 1 << 20), count=st.integers(0, 30), members=st.integers(1, 4), ahead=st.integers(1, 5))
def test_every_key_has_its_outcome_once(seed: int, count: int, members: int, ahead: int) -> None:
    staff = Fickle(seed, deaths=2)
    found = list(Pool(staff, members, ahead=ahead).run(items(count)))
    assert Counter(key for key, _ in found) == Counter(f"k{n}" for n in range(count))
    assert dict(found) == {f"k{n}": 2 * n for n in range(count)}, "two deaths are too few for a failure"
    assert staff.most <= ahead
    assert all(member.is_stopped for member in staff.members)


@given(seed=st.integers(0, 1 << 20), deadly=st.frozensets(st.integers(0, 11), max_size=3))
def test_what_kills_its_process_is_the_only_failure(seed: int, deadly: frozenset[int]) -> None:
    found = dict(Pool(Fickle(seed, deadly=deadly), 2, ahead=4).run(items(12)))
    assert {key for key, value in found.items() if isinstance(value, Failure)} == {f"k{n}" for n in deadly}
    assert len(found) == 12
    for number in deadly:
        assert found[f"k{number}"].message == f"{DEATHS} processes died at work on it, the last one of it"


def test_members_that_never_begin_end_the_run() -> None:
    assert len(dict(Pool(Fickle(0, unready=STILLBORN - 1), 2, ahead=2).run(items(5)))) == 5
    with pytest.raises(ModelError, match=r"the workers die before they begin \(young\)"):
        list(Pool(Fickle(0, unready=STILLBORN), 2, ahead=2).run(items(5)))


def test_closing_stops_all_members() -> None:
    staff = Fickle(0)
    found = Pool(staff, 3, ahead=2).run(items(50))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert all(member.is_stopped for member in staff.members)
    assert len(staff.members) == 3


def test_no_more_members_are_started_than_there_are_items() -> None:
    staff = Fickle(0)
    assert dict(Pool(staff, 8, ahead=4).run(items(2))) == {"k0": 0, "k1": 2}
    assert len(staff.members) == 2
