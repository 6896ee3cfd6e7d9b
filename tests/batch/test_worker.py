"""Rows are written many at a time, each as it would be alone; what is wrong with one does not end the others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffucli.batch.rows import FillRow, GenRow
from diffucli.batch.worker import SeededRow
from diffucli.errors import NoRoom
from diffucli.executors.executor import Failure

if TYPE_CHECKING:
    import pytest

    from diffucli.batch.worker import RowWorker, WrittenRow

ROWS = {
    "a": SeededRow(GenRow("add two numbers", length=12), 1),
    "b": SeededRow(FillRow("x = ", "\ny = 2\n", length=(2, 2)), 2),
    "c": SeededRow(GenRow("reverse a list", length=20), 3),
    "d": SeededRow(FillRow("def f(a):\n    ???3\n"), 4),
    "e": SeededRow(GenRow("add two numbers", length=12), 5),
}


def texts(found: dict[str, WrittenRow | Failure]) -> dict[str, str]:
    return {key: each.text for key, each in found.items() if not isinstance(each, Failure)}


def test_rows_together_are_what_each_is_alone(worker: RowWorker) -> None:
    found = texts(dict(worker(ROWS.items())))
    alone = {key: text for each in ROWS.items() for key, text in texts(dict(worker([each]))).items()}
    assert found == alone
    assert set(found) == set(ROWS)
    assert found["a"] != found["e"], "they have different seeds"
    assert found["b"].startswith("x = ")
    assert found["b"].endswith("\ny = 2\n")


def test_rows_are_runs_of_one_driver(worker: RowWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffucli.decode.loop import Driver

    most, step = [], Driver.step
    monkeypatch.setattr(Driver, "step", lambda self: most.append(len(self.running)) or step(self))  # type: ignore[func-returns-value]
    list(worker(ROWS.items()))
    assert max(most) == 3


def test_rows_share_the_time_that_they_take(worker: RowWorker) -> None:
    begun = time.perf_counter()
    found = dict(worker(ROWS.items()))
    took = time.perf_counter() - begun
    shares = [each.seconds for each in found.values() if not isinstance(each, Failure)]
    assert all(share > 0 for share in shares)
    assert sum(shares) <= took


def test_a_row_that_cannot_be_written_is_a_failure(worker: RowWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffucli.batch import worker as module

    def generate(checkpoint: Any, request: Any, *args: Any, **named: Any) -> Any:
        if request.text == "faulty":
            raise LookupError("lost")
        return real(checkpoint, request, *args, **named)

    real = module.generate
    monkeypatch.setattr(module, "generate", generate)
    rows = {**ROWS, "long": SeededRow(GenRow("x", length=60_000), 6), "bug": SeededRow(GenRow("faulty"), 7)}
    found = dict(worker(rows.items()))
    assert set(texts(found)) == set(ROWS)
    long, bug = found["long"], found["bug"]
    assert isinstance(long, Failure)
    assert isinstance(bug, Failure)
    assert (long.code, "tokens long" in long.message, bool(long.hint)) == (2, True, True)
    assert (bug.code, bug.message) == (70, "internal error: LookupError: lost")


def test_rows_for_which_memory_runs_out_together_are_written_alone(
    worker: RowWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one for which it runs out alone is a failure."""
    from diffucli.decode.loop import Driver

    step = Driver.step

    def narrow(self: Any) -> Any:
        if len(self.running) > 1:
            raise NoRoom("the device ran out of memory for this canvas", hint="less")
        yield from step(self)

    monkeypatch.setattr(Driver, "step", narrow)
    expected = texts(dict(replace(worker, together=1)(ROWS.items())))
    assert texts(dict(worker(ROWS.items()))) == expected

    def none(self: Any) -> Any:
        raise NoRoom("the device ran out of memory for this canvas", hint="less")
        yield

    monkeypatch.setattr(Driver, "step", none)
    found = dict(worker(ROWS.items()))
    assert set(found.values()) == {Failure("the device ran out of memory for this canvas", "less", 4)}
    assert set(found) == set(ROWS)


def test_it_goes_on_where_no_row_is_there_yet(worker: RowWorker) -> None:
    entries: list[Any] = [("a", ROWS["a"]), None, ("b", ROWS["b"]), None]
    assert set(dict(worker(iter(entries)))) == {"a", "b"}
