"""Candidates, repair and a test of the user's own, as `gen` and `fill` take them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from diffucli.cli import session
from diffucli.cli.effort import Trying
from diffucli.tasks.doubt import Evidence
from diffucli.tasks.engine import Effort

ANSWERS = ("a = int(1)\n```", "b = int(2)\n```", "b = int(2)\n```")


def lines(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.decode().splitlines()]


def test_flags_become_an_effort():
    assert Trying().effort(None, "error") == Effort()
    assert Trying(candidates=4, pick="first", repair=0).effort(None, "error") == Effort(4, 0, "first")
    assert Trying(pick="all").effort(None, "error") == Effort()


@pytest.mark.parametrize(("flags", "out"), [((), b"b = int(2)\n"), (("--pick", "first"), b"a = (\n")])
def test_the_best_candidate_is_taken_or_the_first(diffu, says, flags, out):
    says("a = (\n```", *ANSWERS[1:])
    done = diffu("gen", "x", "-n", "3", "--repair", "0", "--verify", "warn", *flags)
    assert (done.code, done.out) == (0, out)


def test_all_candidates_are_lines_of_json_each_text_once(diffu, says):
    says(*ANSWERS)
    done = diffu("gen", "x", "-n", "3", "--pick", "all")
    first, second = lines(done.out)
    assert {first["text"], second["text"]} == {"a = int(1)\n", "b = int(2)\n"}
    assert sorted([first["times"], second["times"]]) == [1, 2]
    assert first["schema"] == "diffu.candidate/1"
    assert (first["candidate"], first["parses"], first["warnings"], first["file"]) == (1, True, [], None)
    assert first["doubt"].keys() == second["doubt"].keys() == {"probability", "doubtful", *Evidence.__slots__}
    assert first["doubt"]["reread_logprob"] != second["doubt"]["reread_logprob"], "each is read again"


def test_refused_candidates_are_left_out_with_a_word(diffu, says):
    says("a = (\n```", *ANSWERS[1:])
    done = diffu("gen", "x", "-n", "3", "--pick", "all", "--repair", "0")
    assert [one["text"] for one in lines(done.out)] == ["b = int(2)\n"]
    assert "diffu: 1 of 3 candidates were refused and left out" in done.lines


def test_all_candidates_go_into_numbered_files(diffu, says):
    says(*ANSWERS)
    done = diffu("gen", "x", "-n", "3", "--pick", "all", "-o", "out.py", "-v")
    assert (done.code, done.out) == (0, b"")
    assert {Path(name).read_text() for name in ("out.1.py", "out.2.py")} == {"a = int(1)\n", "b = int(2)\n"}
    assert not Path("out.py").exists()
    assert not Path("out.3.py").exists()
    assert "wrote out.2.py (undo with: diffu undo " in done.err


def test_a_numbered_file_that_is_saved_during_the_run_is_not_replaced_and_one_that_is_read_only_is_found_before(
    diffu, says, monkeypatch
):
    says(*ANSWERS)
    begin = session.begin

    def saved(*arguments, **more):
        Path("out.2.py").write_text("mine")
        return begin(*arguments, **more)

    monkeypatch.setattr(session, "begin", saved)
    done = diffu("gen", "x", "-n", "3", "--pick", "all", "-o", "out.py")
    assert (done.code, len(done.lines)) == (5, 1)
    assert not Path("out.1.py").exists()
    kept = Path(done.err.partition("is kept in ")[2].partition(" (")[0])
    assert {path.name for path in kept.iterdir()} == {"1-out.1.py", "2-out.2.py"}
    shutil.rmtree(kept)
    assert Path("out.2.py").read_text() == "mine"
    Path("out.2.py").chmod(0o444)
    monkeypatch.setattr(session, "begin", None)
    done = diffu("gen", "x", "-n", "3", "--pick", "all", "-o", "out.py")
    assert (done.code, "out.2.py: is read-only" in done.err) == (2, True)


def test_fill_has_lines_for_each_file(diffu, says):
    says("1", "2")
    for name in ("a.py", "b.py"):
        Path(name).write_text("x = ???1\n")
    told = lines(diffu("fill", "a.py", "b.py", "-n", "2", "--pick", "all").out)
    assert [one["file"] for one in told] == ["a.py", "a.py", "b.py"]


@pytest.mark.parametrize("flag", ["-w", "--diff", "--check"])
def test_all_candidates_do_not_fit_into_one_place(diffu, says, flag):
    Path("a.py").write_text("x = ???\n")
    done = diffu("fill", "a.py", "--pick", "all", flag)
    assert done.code == 2
    assert "--pick all does not go with" in done.err


def test_the_test_decides_among_candidates(diffu, says):
    says(*ANSWERS)
    done = diffu("gen", "x", "-n", "3", "--test", "grep -q b {}", "-v", "--json")
    told = json.loads(done.out)
    assert (told["text"], told["test"]) == ("b = int(2)\n", "passed")
    assert (told["candidates"], told["attempts"]) == (3, 3)
    says(*ANSWERS)
    assert diffu("gen", "x", "-n", "3", "--test", "grep -q b answer.py", "-v").lines[-1].endswith(" · test: passed")


def test_where_no_candidate_passes_nothing_is_written(diffu, says):
    says(*ANSWERS)
    done = diffu("gen", "x", "-n", "3", "-o", "x.py", "--test", "echo why; false", "-v")
    assert done.code == 3
    assert "why" in done.lines
    assert "diffu: none of 3 candidates passed the test (exit status 1); nothing was written" in done.err
    assert not Path("x.py").exists()
    says(*ANSWERS)
    told = json.loads(diffu("gen", "x", "--test", "false", "--json").out)
    assert (told["status"], told["test"], told["text"]) == (3, "failed", "a = int(1)\n")


def test_with_verify_warn_a_failed_test_is_a_warning(diffu, says):
    says(*ANSWERS)
    done = diffu("gen", "x", "--test", "false", "--verify", "warn")
    assert (done.code, done.out) == (0, b"a = int(1)\n")
    assert done.lines == ["diffu: the text failed the test (exit status 1)"]


def test_fill_is_tested_in_the_project_with_the_files_filled_before(diffu, says):
    says("1", "2")
    for name in ("a.py", "b.py"):
        Path(name).write_text("x = ???1\n")
    done = diffu("fill", "a.py", "b.py", "-w", "--test", "cat a.py b.py > {}.seen; ! grep -q 2 {} || grep -q 1 a.py")
    assert done.code == 0
    assert Path("b.py").read_text() == "x = 2\n"
    assert not Path("a.py.seen").exists()


def test_a_text_with_syntax_errors_is_not_tested(diffu, says):
    says("a = (\n```")
    done = diffu("gen", "x", "--repair", "0", "--test", "touch $PWD.ran", "--json")
    told = json.loads(done.out)
    assert told["status"] == 3
    assert "test" not in told


def test_an_empty_test_is_refused(diffu, says):
    done = diffu("gen", "x", "--test", " ")
    assert (done.code, done.lines) == (2, ['diffu: --test names no command (such as --test "pytest -q")'])


def test_warnings_are_told_three_of_them_and_how_many_more(diffu, says):
    says("print(a, b, c, d, e)\n```")
    done = diffu("gen", "x", "--repair", "0")
    assert done.code == 0
    assert [line.split(": ", 2)[1] for line in done.lines[:3]] == ["line 1"] * 3
    assert done.lines[0] == "diffu: line 1: undefined name `a`"
    assert done.lines[3:] == ["diffu: and 2 more warnings"]
    told = json.loads(diffu("gen", "x", "--repair", "0", "--json").out)
    assert told["warnings"][1] == {"line": 1, "column": 10, "message": "undefined name `b`"}


def test_rounds_of_repair_are_told_to_those_who_ask(diffu, says):
    says("x = [1", repair="]")
    Path("f.py").write_text("x = ???4\n")
    says("[1", repair="]")
    assert "repaired in 1 round" in diffu("fill", "f.py", "-v").lines
