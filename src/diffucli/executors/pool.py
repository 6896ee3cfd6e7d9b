"""Deals items out to members of a pool, which work elsewhere and may die at any time.

A member's items go back when it dies. Each of them is then worked on alone, so that the one which kills its process is
found, and fails after `DEATHS` times. Knows neither processes nor clusters.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from diffucli.errors import LESS_MEMORY, ModelError
from diffucli.executors.executor import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEATHS = 3  # of processes that worked on an item
STILLBORN = 5  # processes in a row that die before they take an item

Entry = tuple[str, Any]  # a key and its item


class Member(Protocol):
    """A worker elsewhere, such as a process."""

    def give(self, entry: Entry) -> None:
        """Sends an item; nothing happens if the member is dead."""
        ...

    def end(self) -> None:
        """Says that no more items come."""
        ...

    def stop(self) -> None:
        """Ends it at once, dead or alive."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a member.

    "ready": it takes items. "done": `value` is the outcome of `key`. "ended": it has done all. "failed": `value` is the
    error that the worker raised. "died": `value` says how.
    """

    member: Member
    what: Literal["ready", "done", "ended", "failed", "died"]
    key: str = ""
    value: Any = None


class Staff(Protocol):
    """Where members are from."""

    def start(self) -> Member:
        """A new one."""
        ...

    def listen(self, members: Sequence[Member]) -> Iterable[Heard]:
        """Waits for news of members."""
        ...


@dataclass(slots=True)
class _Load:
    """What a member has: the items that it was given, whether it has one that must be alone, and how far it is."""

    entries: dict[str, Any] = field(default_factory=dict)
    is_alone: bool = False
    is_ready: bool = False
    is_ending: bool = False

    def has_room(self, ahead: int) -> bool:
        """Whether another item may be given."""
        return self.is_ready and not (self.is_ending or self.is_alone) and len(self.entries) < ahead


class Pool:
    """Members of `staff`, at most `count` at a time, each with at most `ahead` items that are not done."""

    def __init__(self, staff: Staff, count: int, *, ahead: int) -> None:
        self._staff, self._count, self._ahead = staff, count, ahead
        self._loads: dict[Member, _Load] = {}
        self._fresh: deque[Entry] = deque()  # looked at, and given to nobody yet
        self._suspects: deque[Entry] = deque()  # a member that had them died at work
        self._deaths: Counter[str] = Counter()
        self._stillborn = 0

    def run(self, items: Iterable[Entry]) -> Iterator[tuple[str, Any]]:
        """The outcome of each item by its key. ModelError: members die before they take any item."""
        left = iter(items)
        try:
            while self._deal(left):
                for heard in self._staff.listen(list(self._loads)):
                    yield from self._take(heard)
        finally:
            for member in self._loads:
                member.stop()

    def _deal(self, left: Iterator[Entry]) -> bool:
        """Gives items to all who are ready and have room for them; False if there is nothing left to be done."""
        self._hire(left)
        while self._suspects and (member := self._with_room(1)):
            self._loads[member].is_alone = True
            self._give(member, self._suspects.popleft())
        while self._look_ahead(left, 1) and (member := self._with_room(self._ahead)):
            self._give(member, self._fresh.popleft())
        if not self._suspects and not self._fresh:
            self._end()
        return bool(self._loads)

    def _hire(self, left: Iterator[Entry]) -> None:
        """Starts members, as long as there are items for them."""
        busy = sum(bool(load.entries) or load.is_ending for load in self._loads.values())
        wanted = min(self._count, busy + len(self._suspects) + self._look_ahead(left, self._count))
        while len(self._loads) < wanted:
            self._loads[self._staff.start()] = _Load()

    def _look_ahead(self, left: Iterator[Entry], most: int) -> int:
        """How many items are left, up to `most`."""
        while len(self._fresh) < most and (entry := next(left, None)):
            self._fresh.append(entry)
        return len(self._fresh)

    def _with_room(self, ahead: int) -> Member | None:
        """The ready member with the fewest items; None if all have `ahead` or more."""
        free = [member for member, load in self._loads.items() if load.has_room(ahead)]
        return min(free, key=lambda member: len(self._loads[member].entries), default=None)

    def _give(self, member: Member, entry: Entry) -> None:
        self._loads[member].entries[entry[0]] = entry[1]
        member.give(entry)

    def _end(self) -> None:
        for member, load in self._loads.items():
            if not load.is_ending:
                load.is_ending = True
                member.end()

    def _take(self, heard: Heard) -> Iterator[tuple[str, Any]]:
        """Notes what was heard; the outcomes that it brings."""
        load = self._loads[heard.member]
        match heard.what:
            case "ready":
                load.is_ready, self._stillborn = True, 0
            case "done":
                load.entries.pop(heard.key)
                load.is_alone = False
                yield heard.key, heard.value
            case "failed":
                raise heard.value
            case "ended":
                assert not load.entries, "a worker gives an outcome for each item"
                self._dismiss(heard.member)
            case "died":
                self._dismiss(heard.member)
                yield from self._bury(load, heard.value)

    def _dismiss(self, member: Member) -> None:
        del self._loads[member]
        member.stop()

    def _bury(self, load: _Load, how: str) -> Iterator[tuple[str, Failure]]:
        """Takes the items of a dead member back; those that have killed too many fail."""
        if not load.is_ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise ModelError(f"the workers die before they begin ({how})", hint=f"use fewer, or {LESS_MEMORY}")
            return
        for key, item in load.entries.items():
            self._deaths[key] += 1
            if self._deaths[key] < DEATHS:
                self._suspects.append((key, item))
            else:
                yield key, Failure(f"{DEATHS} processes died at work on it, the last one {how}", hint=LESS_MEMORY)
