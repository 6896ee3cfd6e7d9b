"""Rows are checked whole before a model is loaded; a message names the line and the remedy."""

from __future__ import annotations

import json

import pytest

from diffucli.batch.rows import FillRow, GenRow, parse, read, seed_of
from diffucli.errors import UsageError


def lines(*rows: object) -> list[bytes]:
    return [json.dumps(row).encode() + b"\n" for row in rows]


def test_a_row_asks_for_code_for_holes_or_for_what_is_between_two_texts() -> None:
    asked = read(
        lines(
            {"id": "a", "prompt": " add two numbers ", "length": 40, "meta": {"from": "x"}},
            {"id": 7, "text": "x = ???\n", "instruction": "one", "length": 3},
            {"prefix": "x = f(", "suffix": ")\n", "length": "1-4"},
            {"text": "def f(a):\n    pass\n", "regions": ["f"], "language": "python"},
        ),
        "tasks.jsonl",
    )
    assert [row.asks for row in asked] == [
        GenRow("add two numbers", length=40),
        FillRow("x = ???\n", instruction="one", length=(3, 3)),
        FillRow("x = f(", ")\n", length=(1, 4)),
        FillRow("def f(a):\n    pass\n", regions=("f",)),
    ]
    assert [row.key for row in asked] == ["a", "7", asked[2].digest, asked[3].digest]
    assert [row.line for row in asked] == [1, 2, 3, 4]
    assert asked[0].meta == {"from": "x"}


def test_the_digest_is_of_what_is_asked_alone() -> None:
    first, second, other = (
        parse(line, 1) for line in lines({"id": 1, "prompt": "x", "meta": 1}, {"prompt": "x"}, {"prompt": "y"})
    )
    assert first.digest == second.digest != other.digest


def test_blank_lines_do_not_count_but_have_numbers() -> None:
    (row,) = read([b"\n", b"  \n", *lines({"prompt": "x"})], "t")
    assert row.line == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "t:2: no JSON object"),
        (b"[1]", "t:2: no JSON object (it holds no JSON object)"),
        (b"\xff", "t:2: no JSON object"),
        (b'{"id": 1}', "t:2: there is none of prompt, text, prefix"),
        (b'{"prompt": ""}', "t:2: prompt is empty"),
        (b'{"prompt": 3}', "t:2: prompt is no text"),
        (b'{"prompt": "\\ud800"}', "t:2: prompt holds half a surrogate pair"),
        (b'{"prompt": "x", "lenght": 3}', "t:2: a row with prompt has no 'lenght'"),
        (b'{"prompt": "x", "length": 0}', "t:2: length 0 is no number of tokens"),
        (b'{"prompt": "x", "length": true}', "t:2: length true is no number of tokens"),
        (b'{"prompt": "x", "language": "klingon"}', "t:2: "),
        (b'{"prompt": "x", "id": ""}', "t:2: id is neither a text nor a whole number"),
        (b'{"text": "x = 1"}', "t:2: the text has no ??? and the row no regions"),
        (b'{"text": "x = ??"}', "t:2: ?? in line 1 is no hole"),
        (b'{"text": "x", "regions": ["9:1"]}', "t:2: region 9:1 ends before it starts"),
        (b'{"prompt": "x", "meta": NaN}', "t:2: meta holds a number that JSON has not"),
        (b'{"prompt": "x", "meta": {"a": [-1e999]}}', "t:2: meta holds a number that JSON has not"),
        (b'{"text": "x = ???", "length": "9-1"}', "t:2: length 9-1: no such length"),
        (b'{"text": "x = ???", "length": [1]}', "t:2: length [1] is no length"),
        (b'{"text": "x = ???", "regions": "1"}', "t:2: regions is no list"),
        (b'{"text": "x\\u0000 = ???"}', "t:2: "),
    ],
)
def test_what_is_no_row_is_named_with_its_line(line: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read([*lines({"prompt": "a"}), line], "t")
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_two_rows_of_one_name_are_told_with_both_lines() -> None:
    with pytest.raises(UsageError, match=r"^t:2: has the id '1' as line 1$"):
        read(lines({"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"}), "t")
    with pytest.raises(UsageError, match=r"^t:3: asks the same as line 1$"):
        read(lines({"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}), "t")
    with pytest.raises(UsageError, match="t holds no rows"):
        read([b"\n"], "t")


def test_seeds_depend_on_run_row_and_sample_and_are_the_same_everywhere() -> None:
    assert seed_of(0, "a", 0) == 6117333831640458148  # half of the first 8 bytes of the SHA-256 of 0/0/a
    seeds = {seed_of(run, key, sample) for run in (0, 1) for key in ("a", "b") for sample in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
