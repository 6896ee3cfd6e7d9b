"""What is missing is written, once; a line holds only what is the same on every machine."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.batch import run as running
from diffucli.batch.answers import opened
from diffucli.batch.rows import read, seed_of
from diffucli.errors import UsageError
from diffucli.executors.executor import Failure, ThisProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from diffucli.batch.rows import TaskRow
    from diffucli.batch.worker import RowWorker

ASKED = [{"id": n, "prompt": f"do {n}", "length": 6} for n in range(6)]


def rows(*asked: dict[str, Any]) -> list[TaskRow]:
    return read([json.dumps(each).encode() for each in asked or ASKED], "t")


class Reordering:
    """An executor that answers in random order, and fails some."""

    def __init__(self, seed: int, failing: frozenset[str] = frozenset()) -> None:
        self.rng, self.failing = random.Random(seed), failing

    def run(self, worker: Any, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        entries = list(items)
        self.rng.shuffle(entries)
        for key, outcome in worker(entries):
            yield key, Failure("it is lost", "look for it", 70) if key in self.failing else outcome


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, worker: RowWorker, executor: Any, asked: list[TaskRow], samples: int = 1) -> None:
    with opened(path) as file:
        list(running.run(executor, worker, running.missing(asked, samples, file), file, seed=5))


def test_any_order_gives_the_same_lines(worker: RowWorker, tmp_path: Path) -> None:
    for name, executor in (("a", ThisProcess()), ("b", Reordering(1))):
        write(tmp_path / name, worker, executor, rows(), samples=2)
    first, second = ((tmp_path / name).read_text().splitlines() for name in "ab")
    assert first != second
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 12


def test_a_broken_off_batch_goes_on_with_what_is_missing(worker: RowWorker, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "part"
    write(whole, worker, ThisProcess(), rows())
    with opened(path) as file:
        done = running.run(ThisProcess(), worker, running.missing(rows(), 1, file), file, seed=5)
        next(done)
        done.close()  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes() + b'{"id": "torn')
    write(path, worker, Reordering(3), rows())
    assert sorted(path.read_text().splitlines()) == sorted(whole.read_text().splitlines())


def test_a_failure_is_a_line(worker: RowWorker, tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, worker, Reordering(0, frozenset({"0/2"})), rows({**ASKED[2], "meta": [1]}, ASKED[3]))
    failed, other = sorted(lines(path), key=lambda line: line["id"])
    about = {"id": "2", "sample": 0, "seed": seed_of(5, "2", 0), "digest": rows()[2].digest}
    assert failed == {**about, "status": 70, "error": "it is lost", "hint": "look for it", "meta": [1]}
    assert set(other) == {*about, "status", "text", "parses", "ended", "doubtful", "tokens"}
    with opened(path) as file:
        assert running.failures(rows(), 1, file) == 1
        assert running.accepted(file) == [("3", 0)]


def test_a_refused_text_is_a_line_with_the_text_and_what_is_wrong(worker: RowWorker, tmp_path: Path) -> None:
    """Random weights write nothing that parses."""
    path = tmp_path / "a"
    write(path, replace(worker, verify="error"), ThisProcess(), rows({"id": "x", "prompt": "do", "length": 12}))
    (line,) = lines(path)
    assert (line["status"], line["parses"]) == (3, False)
    assert line["error"].startswith("the answer does not parse: line 1")
    assert line["text"]
    assert line["hint"]


def test_a_row_that_has_changed_since_is_refused(worker: RowWorker, tmp_path: Path) -> None:
    write(tmp_path / "a", worker, ThisProcess(), rows(ASKED[0]))
    with opened(tmp_path / "a") as file:
        assert set(running.missing(rows(), 1, file)) == {(str(n), 0) for n in range(1, 6)}
        with pytest.raises(UsageError, match="line 1 asks for something else than when '0' was answered"):
            running.missing(rows({"id": 0, "prompt": "another"}), 1, file)


def test_lines_come_into_the_order_of_the_rows(worker: RowWorker, tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, worker, Reordering(1), rows(), samples=2)
    with opened(path) as file:
        order = running.in_order(rows(*ASKED[:3]), 2, file)
        assert order is not None
        file.rewrite(order)
        assert running.in_order(rows(*ASKED[:3]), 2, file) is None
    found = [(line["id"], line["sample"]) for line in lines(path)]
    assert found[:6] == [(str(n), sample) for n in range(3) for sample in (0, 1)]
    assert len(found) == 12


def test_shards_are_disjoint_and_all() -> None:
    parts = [running.shard_of(rows(), number, 4) for number in range(1, 5)]
    assert [len(part) for part in parts] == [2, 2, 1, 1]
    assert {row.key for part in parts for row in part} == {row.key for row in rows()}
