"""`diffu trace`: the order of a run over its code, with figures, and requests at several temperatures beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[1] / "data" / "traces" / "schema-1.jsonl.xz"
ANSWER = "x = 1\n```<|im_end|>"


def test_the_code_stands_beside_the_steps_that_wrote_it_and_figures_follow(diffu, says, loaded):
    says("x = 1\ny = 2\n```<|im_end|>")
    diffu("gen", "set x")
    done = diffu("trace")
    assert (done.code, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    assert lines[:2] == ["1-1 │ x = 1", "1-1 │ y = 2"]
    count = len(loaded.tokenizer.encode("x = 1\ny = 2\n```<|im_end|>", special=True))
    assert any(line.startswith(f"{count} tokens in 1 steps, {count}.0 a step") for line in lines)


@pytest.mark.parametrize("by", ["step", "confidence", "remask"])
def test_a_kept_trace_is_shown_by_each_measure(diffu, by):
    done = diffu("trace", KEPT, "--by", by)
    assert done.code == 0
    assert "    return sum(xs) / len(xs)" in done.out.decode()


def test_json_has_the_figures(diffu, says):
    says(ANSWER)
    diffu("gen", "set x", "--preset", "exact")
    (take,) = json.loads(diffu("trace", "--json").out)["takes"]
    assert sum(step["tokens"] for step in take["steps"]) == take["tokens"] == len(take["order"])
    assert {"confidence", "entropy", "tokens"} == set(take["steps"][0]), "exact ranks by entropy"
    assert set(take["ar_ness"]["all"]) == {"1", "2", "4", "8"}


def test_requests_are_compared_at_temperatures(diffu, loaded):
    argv = ["trace", "--compare", "set x", "sort", "--temp", "0,0.8", "--length", "12", "--seed", "1"]
    runs = json.loads(diffu(*argv, "--json").out)["runs"]
    assert [(run["request"], run["temperature"]) for run in runs] == [
        ("set x", 0),
        ("set x", 0.8),
        ("sort", 0),
        ("sort", 0.8),
    ]
    assert all(step["tokens"] <= 2 for run in runs for step in run["steps"]), "the published schedule rounds down"
    done = diffu(*argv)
    assert done.code == 0
    assert "T 0.8" in done.out.decode()
    assert "AR-ness of the text" in done.out.decode()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([KEPT, "other"], "one run is shown at a time"),
        ([KEPT, "--candidate", "3"], "nothing was written by candidate 3"),
        (["--compare"], "--compare needs a request"),
        (["--compare", "x", "--temp", "hot"], "no list of temperatures"),
        (["--compare", "x", "--temp", "0,nan"], "no list of temperatures"),
        (["none"], "is neither a run"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_line(diffu, argv, message):
    done = diffu("trace", *argv)
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert message in done.err
