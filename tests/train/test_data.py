"""Tasks and examples in JSON lines: what is read, and that each fault names its line."""

from __future__ import annotations

import json

import pytest

from diffucli.errors import UsageError
from diffucli.train.data import Example, TrainingTask, read_examples, read_tasks, shuffled, split_tests


def lines(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_asserts_are_tests_with_what_stands_before_them():
    assert split_tests("import math\nassert candidate(1) == 1\nx = 2\nassert candidate(x)\n") == (
        "import math\nassert candidate(1) == 1",
        "import math\nx = 2\nassert candidate(x)",
    )
    assert split_tests("for i in range(3):\n    assert candidate(i)\n") == (
        "for i in range(3):\n    assert candidate(i)\n",
    )


def test_tasks_are_read_with_their_columns(tmp_path):
    path = lines(
        tmp_path,
        {"prompt": "add", "tests": "assert candidate(1)\nassert candidate(2)", "level": 3},
        "",
        {"prompt": "sub", "tests": ["a = 1\nassert candidate(a)", "assert f(2)"]},
    )
    assert read_tasks(path) == [
        TrainingTask("add", ("assert candidate(1)", "assert candidate(2)"), {"level": 3}),
        TrainingTask("sub", ("a = 1\nassert candidate(a)", "assert f(2)")),
    ]
    assert read_tasks(lines(tmp_path, {"prompt": "free"}), tested=False) == [TrainingTask("free")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no lines"),
        ([{"prompt": "a", "tests": "assert 1"}, {"prompt": "b"}], 'line 2: the task has no "tests"'),
        ([{"prompt": "b", "tests": []}], 'the task has no "tests"'),
        ([{"tests": "assert 1"}], 'line 1: "prompt" must be a text'),
        ([{"prompt": "a", "tests": 7}], '"tests" must be a text'),
        ([{"prompt": "a", "tests": "assert ("}], '"tests" are not Python'),
        ([{"prompt": "a\ud800", "tests": "assert 1"}], '"prompt" holds half a surrogate pair'),
        ([{"prompt": "a", "tests": "assert '\ud800'"}], '"tests" holds half a surrogate pair'),
        (["{"], "line 1"),
        (["[1]"], "line 1: it holds no JSON object"),
    ],
)
def test_a_fault_of_tasks_names_its_line(tmp_path, rows, message):
    with pytest.raises(UsageError) as caught:
        read_tasks(lines(tmp_path, *rows))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_end_as_files_have_them_and_not_within_a_text(tmp_path):
    """A byte order mark, CRLF, and characters that end a line for Python but not in JSON."""
    rows = [{"prompt": f"a{mark}b", "tests": "assert 1"} for mark in "\u2028\x85\x0b\x1e"]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [each.prompt for each in read_tasks(tmp_path / "rows.jsonl")] == [row["prompt"] for row in rows]


def test_examples_are_answers_or_files_with_holes(tmp_path):
    path = lines(
        tmp_path, {"prompt": "p", "completion": "c"}, {"text": "abcdef", "holes": [[4, 5], [0, 2]]}, {"text": "x"}
    )
    assert read_examples(path) == [Example("c", "p"), Example("abcdef", holes=((0, 2), (4, 5))), Example("x")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"code": "x"}, 'neither "prompt" and "completion" nor "text"'),
        ({"completion": "x"}, '"prompt" must be a text'),
        ({"text": "abc", "holes": [[1, 9]]}, '"holes" must lie in the 3 characters'),
        ({"text": "abc", "holes": [[1, 1]]}, '"holes" must lie in'),
        ({"text": "abc", "holes": "all"}, '"holes" must be a list'),
    ],
)
def test_a_fault_of_examples_names_its_line(tmp_path, row, message):
    with pytest.raises(UsageError, match="line 1") as caught:
        read_examples(lines(tmp_path, row))
    assert message in str(caught.value)


def test_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_tasks(tmp_path / "none.jsonl")


def test_every_round_has_all_items_in_another_order():
    drawn = [item for number in range(6) for item in shuffled("abcd", 2, number, seed=1)]
    rounds = [drawn[i : i + 4] for i in range(0, 12, 4)]
    assert all(sorted(each) == list("abcd") for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert shuffled("abcd", 3, 1, seed=1) == drawn[3:6], "whatever the batch, the stream is the same"
