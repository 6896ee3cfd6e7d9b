"""Samples are rows of a batch: of what they ask, and how long a hole is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffucli.batch.rows import FillRow, GenRow
from diffucli.batch.worker import WrittenRow
from diffucli.eval.asking import WantedSample, key_of, row_of, samples
from diffucli.eval.problems import CodeProblem, FillProblem, RepairProblem
from diffucli.executors.executor import Failure
from diffucli.tasks.doubt import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.model.load import Checkpoint

CODE, HOLE = CodeProblem("g", "add two", "t"), FillProblem("g", "a = ", "b + c", "\n")
BROKEN = RepairProblem("g", "x = (\n", "x = ()\n", "t")


def test_a_problem_is_a_row_of_its_kind(checkpoint: Checkpoint) -> None:
    tokenizer = checkpoint.tokenizer
    assert row_of(WantedSample(0, CODE, 0), None, answer=9) == GenRow("add two", length=9)
    assert row_of(WantedSample(0, HOLE, 0), None, answer=9) == FillRow("a = ", "\n")
    assert row_of(WantedSample(0, HOLE, 0, "16"), None, answer=9) == FillRow("a = ", "\n", length=(16, 16))
    true = len(tokenizer.encode("b + c"))
    assert row_of(WantedSample(0, HOLE, 0, "oracle"), tokenizer, answer=9) == FillRow("a = ", "\n", length=(true, true))
    assert row_of(WantedSample(0, BROKEN, 0), None, answer=9) == FillRow("x = (\n", regions=(":errors",))


class Known:
    """An executor that knows the outcomes, and tells them backwards."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = outcomes

    def run(self, worker: Any, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        del worker
        pairs = list(zip(items, self.outcomes, strict=True))
        yield from ((key, outcome) for (key, _), outcome in reversed(pairs))


def written(text: str, piece: str, refusal: str = "") -> WrittenRow:
    return WrittenRow(text, (piece,), True, True, refusal, "", 2, 3.0, 0.5, UNKNOWN)


def test_samples_come_as_they_are_written_and_a_failure_has_its_reason() -> None:
    wanted = [WantedSample(0, CODE, 4), WantedSample(1, HOLE, 4), WantedSample(2, BROKEN, 4), WantedSample(3, CODE, 4)]
    outcomes = written("x\n", "x\n"), written("a = b\n", "b", "no"), written("x = ()\n", "("), Failure("too long")
    found = list(samples(Known(*outcomes), None, wanted, tokenizer=None, answer=9))  # type: ignore[arg-type]
    assert [each.index for each in found] == [3, 2, 1, 0]
    assert [each.sample.text for each in found] == ["", "x = ()\n", "b", "x\n"]
    assert [each.sample.refused for each in found] == [True, False, True, False]
    assert [each.fault for each in found] == ["too long", "", "", ""]
    assert len({key_of(each) for each in wanted}) == 4
