"""Lanes: N runs as one write what each writes alone, whatever their policies, and however they are nested."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.decode.lanes import side_by_side, watched
from diffucli.decode.loop import Driver, Returned, alone, together
from diffucli.decode.predict import Answer
from diffucli.events import Event, Finished, Started, Stepped


def result(network: Any, run: Any) -> tuple[list[Event], Any]:
    """The events of a run and its result."""
    events, pulled = [], alone(network, run)
    try:
        while True:
            events.append(next(pulled))
    except StopIteration as end:
        return events, end.value


def text(finished: Finished) -> tuple[tuple[int, ...], str]:
    return finished.tokens, finished.reason


@given(data=st.data())
@settings(max_examples=40)
def test_runs_side_by_side_write_what_each_writes_alone(fake, kit, data):
    requests = data.draw(st.lists(kit.requests(), min_size=1, max_size=4))
    wanted = [text(result(fake(), each.run())[1]) for each in requests]
    _, found = result(fake(), side_by_side([each.run() for each in requests]))
    assert [text(each) for each in found] == wanted


@given(data=st.data())
@settings(max_examples=25)
def test_lanes_of_lanes_beside_other_runs_write_what_each_writes_alone(fake, kit, data):
    """One run is a tree of lanes of any depth, the other one has none."""
    trees = st.recursive(kit.requests(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
    tree, single = data.draw(st.lists(trees, max_size=3)), data.draw(kit.requests())

    def run_of(node: Any) -> Any:
        return side_by_side([run_of(each) for each in node], shown=None) if isinstance(node, list) else node.run()

    def wanted(node: Any) -> Any:
        return list(map(wanted, node)) if isinstance(node, list) else text(result(fake(), node.run())[1])

    def told(found: Any) -> Any:
        return list(map(told, found)) if isinstance(found, list) else text(found)

    events = together(fake(), [run_of(tree), single.run()])
    found = {number: event.result for number, event in events if isinstance(event, Returned)}
    assert told(found[0]) == wanted(tree)
    assert told(found[1]) == wanted(single)


@given(data=st.data(), shown=st.integers(0, 2) | st.none())
@settings(max_examples=25)
def test_the_events_of_the_shown_lane_are_passed_on_as_they_are_and_no_others(fake, kit, data, shown):
    requests = data.draw(st.lists(kit.requests(), min_size=3, max_size=3))
    events, _ = result(fake(), side_by_side([each.run() for each in requests], shown=shown))
    wanted = [] if shown is None else result(fake(), requests[shown].run())[0]
    assert kit.told(events) == kit.told(wanted)


def test_lanes_share_forwards_and_each_pays_its_part(fake, kit):
    request = kit.Request(kit.Policy(kit.TopK(kit.linear)))
    network, canvases = fake(), [request.canvas() for _ in range(3)]
    for number, canvas in enumerate(canvases):
        canvas.tokens[0] = number  # equal canvases would be one row
    _, found = result(network, side_by_side([request.run(canvas) for canvas in canvases]))
    assert sum(each.nfe for each in found) == pytest.approx(len(network.forwards))
    assert {batch for batch, _ in network.forwards} == {3}


def test_equal_canvases_are_one_row_without_a_cache_too(fake, kit):
    request = kit.Request(kit.Policy(kit.TopK(kit.linear)))
    network = fake()
    _, found = result(network, side_by_side([request.run() for _ in range(3)]))
    assert sum(each.nfe for each in found) == pytest.approx(len(network.forwards))
    assert {batch for batch, _ in network.forwards} == {1}
    assert [text(each) for each in found] == [text(result(fake(), request.run())[1])] * 3


def test_lanes_may_follow_one_another_in_one_run(fake, kit):
    """The second lanes have the numbers of the first, and other canvases: nothing kept of those is used."""
    first, second = (kit.Request(kit.Policy(kit.Threshold(0.6), block=5, cache="dual"), length=n) for n in (24, 31))

    def run() -> Any:
        one = yield from side_by_side([first.run(), second.run()], shown=None)
        two = yield from side_by_side([second.run(), first.run()], shown=None)
        return [*one, *two]

    _, found = result(fake(), run())
    wanted = [text(result(fake(), each.run())[1]) for each in (first, second)]
    assert [text(each) for each in found] == [*wanted, *reversed(wanted)]


def test_no_runs_have_no_results(fake):
    assert result(fake(), side_by_side([])) == ([], [])


def endless(closed: list[int], number: int, kit: Any) -> Any:
    """A run that tells when it is closed."""
    try:
        yield from kit.Request(kit.Policy(kit.Sisyphus())).run()
    finally:
        closed.append(number)


@pytest.mark.parametrize("shown", [0, None])
def test_all_runs_are_closed_when_the_outer_one_is(fake, kit, shown):
    closed: list[int] = []
    inner = side_by_side([endless(closed, 1, kit), endless(closed, 2, kit)])
    driver: Driver[Any] = Driver(fake())
    number = driver.add(side_by_side([endless(closed, 0, kit), inner], shown=shown))
    for _ in range(3):
        list(driver.step())
    assert closed == []
    driver.remove(number)
    assert sorted(closed) == [0, 1, 2]
    assert driver._predictor._slots == {}, "the lanes' slots are given back with their run's"


def test_a_run_that_fails_closes_the_others(fake, kit):
    closed: list[int] = []

    def fails() -> Any:
        yield Started((1,), 0, ())
        raise LookupError

    with pytest.raises(LookupError):
        result(fake(), side_by_side([endless(closed, 0, kit), fails()], shown=None))
    assert closed == [0]


@given(data=st.data())
@settings(max_examples=20)
def test_a_watched_run_is_the_same_and_each_of_its_events_is_seen_first(fake, kit, data):
    request, seen = data.draw(kit.requests()), []
    pulled = alone(fake(), watched(request.run(), seen.append))
    events = []
    try:
        while True:
            events.append(next(pulled))
            assert seen[-1] is events[-1]
    except StopIteration as end:
        finished = end.value
    assert len(seen) == len(events)
    wanted, last = result(fake(), request.run())
    assert kit.told(events) == kit.told(wanted)
    assert text(finished) == text(last)


def test_a_watched_run_is_closed_with_its_watcher(kit):
    closed: list[int] = []
    run = watched(endless(closed, 0, kit), lambda _: None)
    next(run)
    run.close()
    assert closed == [0]


def test_lanes_may_be_watched(fake, kit):
    request, seen = kit.Request(kit.Policy(kit.Threshold(0.6))), []
    result(fake(), watched(side_by_side([request.run(), request.run()]), seen.append))
    assert [type(event) for event in (seen[0], seen[-1])] == [Started, Finished]
    assert all(isinstance(event, Stepped) for event in seen[1:-1])


def test_lanes_that_are_answered_as_if_they_were_none_are_a_mistake(kit):
    run = side_by_side([kit.Request(kit.Policy(kit.TopK())).run()], shown=None)
    next(run)
    with pytest.raises(AssertionError, match="lanes by lanes"):
        run.send(Answer((), 0.0))
