"""A model card has three tables: a greedy answer a problem, ten drawn ones of fewer problems, holes by length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffucli.errors import UsageError
from diffucli.eval import card
from diffucli.eval.judging import UnjudgedSample
from diffucli.eval.problems import CodeProblem, FillProblem, Sample
from diffucli.lab import chart
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from diffucli.batch.worker import RowWorker
    from diffucli.eval.asking import WantedSample
    from diffucli.eval.judging import JudgedSample

PROBLEM = FillProblem("lines", "x = ", "1", "\n")
REQUEST = CodeProblem("requests", "one", "assert")


def unwatched(results: Iterable[JudgedSample], _total: int) -> Iterable[JudgedSample]:
    return results


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, golden: Path) -> dict[str, object]:
    """What the card is written from, and what was asked for on the way; every answer is right."""
    seen: dict[str, object] = {"temperatures": [], "limits": [], "seeds": []}

    def problems(_suite: object, limit: int | None) -> list[FillProblem]:
        seen["limits"].append(limit)  # type: ignore[attr-defined]
        return [PROBLEM, REQUEST]

    def samples(
        _executor: object, worker: RowWorker, wanted: Sequence[WantedSample], *, answer: int
    ) -> Iterator[UnjudgedSample]:
        assert (worker.model, worker.together, answer) == (str(golden), 1, DEFAULT_ANSWER_TOKENS)
        seen["temperatures"].append(worker.policy.sampling.temperature)  # type: ignore[attr-defined]
        for each in wanted:
            seen["seeds"].append(each.seed)  # type: ignore[attr-defined]
            yield UnjudgedSample(each.index, each.problem, each.seed, Sample("1", 1, 1, 0.1), each.length)

    monkeypatch.setattr(card, "problems", problems)
    monkeypatch.setattr(card.asking, "samples", samples)
    monkeypatch.setattr("diffucli.mini.training_log.read", lambda folder: f"the log of {folder.name}")
    monkeypatch.setattr(card, "write_card", lambda path, **values: seen.update(values, path=path))
    return seen


def test_the_card_has_the_log_the_facts_and_all_tables(
    written: dict[str, object], golden: Path, tmp_path: Path
) -> None:
    card.make(golden, tmp_path / "card.md", confinement="none", watch=unwatched, picture=False)
    assert (written["path"], written["picture"]) == (tmp_path / "card.md", False)
    assert written["log"] == "the log of tiny-dream"
    assert written["facts"].entry.folder == golden  # type: ignore[attr-defined]
    greedy, doubts, sampled, lengths = written["tables"].items()  # type: ignore[attr-defined]
    assert greedy[0] == "One greedy answer a problem (the code was not confined: it ran with the rights of the user)"
    assert sampled[0] == "Ten answers to a request at temperature 0.7, at most 20 requests a group"
    assert doubts[0].startswith("How many texts are in doubt")
    assert "pass@10" not in greedy[1]
    assert "pass@10" in sampled[1]
    assert lengths[0] == "pass@1 by the length that a hole gets, at most 20 problems a group"
    assert "|  oracle |   fixed |" in lengths[1]
    assert written["temperatures"] == [0.0, 0.7, 0.0]
    assert written["seeds"] == [0, 0, *range(10), *[0] * 7]


@pytest.mark.parametrize(("limit", "limits"), [(None, [None, 20, 20]), (5, [5] * 3), (100, [100, 20, 20])])
def test_the_later_tables_have_fewer_problems(
    written: dict[str, object], golden: Path, tmp_path: Path, limit: int | None, limits: list[int | None]
) -> None:
    card.make(golden, tmp_path / "card.md", confinement="none", watch=unwatched, limit=limit, picture=False)
    assert written["limits"] == limits


def test_the_samples_and_their_number_are_shown_to_a_watcher(
    written: dict[str, object], golden: Path, tmp_path: Path
) -> None:
    totals, titles = [], []

    def watch(results: Iterable[JudgedSample], total: int) -> Iterator[JudgedSample]:
        totals.append(total)
        for result in results:
            titles.append(result.problem.title)
            yield result

    card.make(golden, tmp_path / "card.md", confinement="none", watch=watch, picture=False)
    assert written["tables"]
    assert (totals, len(titles)) == ([2, 10, 7], 2 + 10 + 7)


def test_a_missing_matplotlib_is_told_before_anything_is_loaded(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda _: None)
    monkeypatch.setattr("diffucli.batch.worker.loading.load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(UsageError, match="the picture needs matplotlib"):
        card.make(golden, tmp_path / "card.md", confinement="none", watch=unwatched)
