"""Lanes: several runs as one, whose queries are answered together. A run may consist of lanes that consist of lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from diffucli.events import Beside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffucli.decode.loop import Answers, Lanes, Queries, Run
    from diffucli.decode.predict import Answer
    from diffucli.events import Event

T = TypeVar("T")


def side_by_side(runs: Sequence[Run[T]], *, shown: int | None = 0, beside: bool = False) -> Run[list[T]]:
    """All of `runs` at once; their results in order. The events of run number `shown` are passed on.

    beside: those of the others too, each as `Beside` with the number of its run.
    """
    results: dict[int, T] = {}
    answers: dict[int, Answer | Answers | None] = dict.fromkeys(range(len(runs)))
    try:
        while len(results) < len(runs):
            asked: Lanes = {}
            for number, run in enumerate(runs):
                while number not in results:
                    try:
                        item = run.send(answers[number])
                    except StopIteration as stop:
                        results[number] = stop.value
                        break
                    answers[number] = None
                    if isinstance(item, tuple | dict):
                        asked |= _as_lanes(number, item)
                        break
                    if number == shown:
                        yield item
                    elif beside and not isinstance(item, Beside):
                        yield Beside(number, item)
            if asked:
                answers |= _by_run((yield asked))
        return [results[number] for number in range(len(runs))]
    finally:
        for run in runs:
            run.close()


def watched(run: Run[T], see: Callable[[Event], object]) -> Run[T]:
    """`run`, each of whose events is passed to `see` first."""
    answer: Answer | Answers | None = None
    try:
        while True:
            item = run.send(answer)
            if isinstance(item, tuple | dict):
                answer = yield item
            else:
                see(item)
                answer = None
                yield item
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        run.close()


def _as_lanes(number: int, queries: Queries | Lanes) -> Lanes:
    """The queries of run `number`, as those of a lane of that number."""
    inner = queries if isinstance(queries, dict) else {(): queries}
    return {(number, *lane): each for lane, each in inner.items()}


def _by_run(got: Answer | Answers | None) -> dict[int, Answer | Answers]:
    """The answers for each run."""
    assert isinstance(got, dict), "a driver answers lanes by lanes"
    found: dict[int, Answer | Answers] = {}
    for (number, *inner), answer in got.items():
        if not inner:
            found[number] = answer
            continue
        lanes = found.setdefault(number, {})
        assert isinstance(lanes, dict), "a run has lanes or none"
        lanes[tuple(inner)] = answer
    return found
