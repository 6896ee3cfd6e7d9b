"""Published problems are read from their files; a program is the prompt, the completion and what follows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from diffucli.errors import UsageError
from diffucli.eval import published
from diffucli.eval.problems import CodeProblem, FillProblem, judge

DATA = Path(__file__).parents[1] / "data" / "eval"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["single-line.jsonl", "random-span.jsonl"])
def test_the_middle_of_an_infilling_is_what_was_cut_out(name: str) -> None:
    """The end of a whole line need not be written; a span may begin and end anywhere in a line."""
    found = published.read(DATA / name, group="g")
    for problem, row in zip(found, rows(name), strict=True):
        assert isinstance(problem, FillProblem)
        assert problem.task_id == problem.title == row["task_id"]
        assert problem.completion(problem.expected) == row["canonical_solution"]
        whole = row["prompt"] + row["canonical_solution"] + row["suffix"]
        assert problem.program(row["canonical_solution"]) == problem.before + problem.expected + problem.after == whole
        assert problem.line_end == ("\n" if name == "single-line.jsonl" else "")
        assert judge(problem, problem.expected).passed
        assert not judge(problem, "return None").passed


def test_an_answer_defines_the_function_or_is_its_body() -> None:
    problem = CodeProblem("g", "r", "t", "T/1", "def f(x):\n    '''Doc.'''\n", "f")
    body, whole = "    return x\n", "import math\n\ndef f(x):\n    return x\n"
    assert problem.program(problem.completion(body)) == problem.prompt + body
    assert problem.program(problem.completion(whole)) == f"{problem.prompt}\n{whole}"
    assert problem.completion("def f2(x): pass") == "def f2(x): pass"


def test_mbpp_has_its_imports_and_its_list_of_tests() -> None:
    (problem,) = published.read(DATA / "mbpp.json", group="mbpp", form="mbpp")
    assert isinstance(problem, CodeProblem)
    assert problem.task_id == "Mbpp/2"
    assert "Write a function to add two numbers.\nassert add(1, 2) == 3" in problem.request
    assert judge(problem, "def add(a, b):\n    return a + b\n").passed
    assert not judge(problem, "def add(a, b):\n    return 3\n").passed


def test_the_form_of_a_file_is_told_by_its_fields(tmp_path: Path) -> None:
    packed = tmp_path / "x.jsonl.gz"
    packed.write_bytes(gzip.compress((DATA / "humaneval-plus.jsonl").read_bytes()))
    plus = published.read(packed, group="x")
    assert [problem.title for problem in plus] == [f"HumanEval/{n}" for n in (0, 1, 32, 3, 4)]
    assert all(isinstance(problem, CodeProblem) and problem.more_tests for problem in plus)
    plain = {
        "task_id": "HumanEval/0",
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "canonical_solution": "",
        "test": "c",
    }
    (tmp_path / "h").write_text(json.dumps(plain))
    (problem,) = published.read(tmp_path / "h", group="x")
    assert isinstance(problem, CodeProblem)
    assert problem.tests == "c\ncheck(f)\n"
    assert published.INSTRUCTION in problem.request


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no problems"),
        (b"{", "no JSON objects"),
        (b"[" * 100_000, "no JSON objects"),
        (b"\x1f\x8bzz", "x: "),
        (b'{"task_id": 1}', "row 1 is of no suite that is known"),
        (b'{"task_id": "a", "code": "", "test_list": []}', "row 1 is damaged"),
        (b'{"task_id": "a", "code": "", "test_list": ["x"]}\n' * 2, "row 2 is a second Mbpp/a"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        published.read(tmp_path / "x", group="g")
    assert said in caught.value.message
    assert caught.value.hint


def test_a_field_that_a_suite_needs_is_named() -> None:
    with pytest.raises(UsageError, match=r"single-line.jsonl: row 1 has no 'base_input'"):
        published.read(DATA / "single-line.jsonl", group="g", form="evalplus")


def test_a_suite_is_in_the_file_that_is_named_by_an_option_a_variable_or_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MBPP_OVERRIDE_PATH", raising=False)
    suite = published.SUITES["mbpp+"]
    with pytest.raises(UsageError, match=r"there is no file of mbpp\+ here") as caught:
        suite.path(None)
    assert "--data FILE" in caught.value.hint
    cached = tmp_path / "evalplus" / "MbppPlus-v0.2.0.jsonl"
    cached.parent.mkdir()
    cached.touch()
    assert suite.path(None) == cached
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", "/other")
    assert suite.path(None) == Path("/other")
    assert suite.path(Path("mine")) == Path("mine")
