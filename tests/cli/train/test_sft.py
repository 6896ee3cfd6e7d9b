"""`diffu train sft`: examples become an adapter, or a model."""

from __future__ import annotations

import pytest

from diffucli.train.session import read_log

GO = ("train", "sft", "--data", "code.jsonl", "-o", "run", "--batch", "3", "--no-picture", "--updates", "2")


@pytest.mark.parametrize(("words", "use"), [(("--lora", "2"), "--adapter run/adapter"), ((), "-m run/model")])
def test_examples_are_learned_and_the_outcome_runs(diffu, project, words, use):
    done = diffu(*GO, *words)
    assert done.code == 0, done.err
    assert [line["update"] for line in read_log(project / "run")] == [1, 2]
    assert done.lines[-1] == f"wrote {use.split()[1]}; diffu gen {use} uses it"
    assert diffu("gen", "x", *use.split(), "--length", "8", "--verify", "off").code == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"code": "x"}', 'code.jsonl, line 1: the row has neither "prompt" and "completion" nor "text"'),
        ('{"text": "x", "holes": [[0, 9]]}', 'line 1: "holes" must lie in the 1 characters of "text"'),
    ],
)
def test_mistakes_are_told_in_one_line(diffu, project, row, message):
    (project / "code.jsonl").write_text(row)
    done = diffu(*GO)
    assert done.code == 2
    assert len(done.lines) == 1
    assert message in done.err
