"""`diffu log`: every run of gen and fill can be looked at again, unless somebody says no."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from diffucli.cli import journal
from diffucli.events import fold
from diffucli.trace import file

ANSWER = "x = 1\n```<|im_end|>"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "state" / "log"


def only(log):
    (path,) = log.iterdir()
    return path


def test_a_run_is_kept_for_its_owner_alone_and_listed_with_what_it_did(diffu, says, log):
    says(ANSWER)
    assert diffu("gen", "set x", "-o", "x.py", "--seed", "8").code == 0
    assert stat.S_IMODE(only(log).stat().st_mode) == 0o600
    (row,) = json.loads(diffu("log", "list", "--json").out)["runs"]
    assert (row["command"], row["request"], row["seed"], row["wrote"]) == ("gen", "set x", 8, ["x.py"])
    assert (row["verdict"], row["files"]) == ("parses", [])
    line = diffu("log", "list").out.decode()
    assert line.startswith(row["id"])
    assert line.rstrip().endswith('gen "set x" → x.py · parses')


def test_what_a_run_printed_is_shown_again(diffu, says):
    says(ANSWER)
    done = diffu("gen", "set x", "--json")
    assert diffu("log", "show").out == b"x = 1\n"
    assert json.loads(diffu("log", "show", json.loads(done.out)["log"], "--json").out) == json.loads(done.out)


def test_a_filled_file_is_shown_whole_whatever_was_printed(diffu, says):
    says("x = 1")
    for more in ([], ["--diff"], ["--check"], ["-w"]):
        Path("a.py").write_text("???\ny = 2\n")
        diffu("fill", "a.py", *more)
        assert diffu("log", "show", "last").out == b"x = 1\ny = 2\n"
    (row, *_) = json.loads(diffu("log", "list", "--json").out)["runs"]
    assert (row["files"], row["wrote"]) == (["a.py"], ["a.py"])


def test_a_refused_text_is_kept_with_its_verdict(diffu, says):
    says("x = (\n```<|im_end|>")
    assert diffu("gen", "set x").code == 3
    assert "does not parse" in diffu("log", "list").out.decode()
    done = diffu("log", "show")
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert b"x = (" in diffu("log", "show", "last", "--partial").out


@pytest.mark.parametrize("how", ["flag", "settings", "variable"])
def test_nothing_is_kept_where_somebody_says_no(diffu, says, how, monkeypatch, tmp_path):
    says(ANSWER)
    log = tmp_path / "state" / "log"
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    if how == "settings":
        assert diffu("log", "off").code == 0
        assert diffu("log", "status").out.startswith(b"the log is off")
    if how == "variable":
        monkeypatch.setenv("DIFFU_NO_LOG", "1")
        assert diffu("log", "status").out.startswith(b"the log is off")
    done = diffu("gen", "set x", "--json", *(["--no-log"] if how == "flag" else []))
    assert json.loads(done.out)["log"] is None
    assert not log.exists()
    if how == "settings":
        assert diffu("log", "on").code == 0
        diffu("gen", "set x")
        assert only(log)


def test_nothing_is_kept_where_the_settings_cannot_be_read_since_they_may_say_no(diffu, says, monkeypatch, tmp_path):
    says(ANSWER)
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("no-log = ")
    assert diffu("gen", "set x").code == 2
    assert not (tmp_path / "state" / "log").exists()


def test_a_state_folder_that_cannot_be_written_is_told_to_those_who_ask_alone(diffu, says, monkeypatch, tmp_path):
    says(ANSWER)
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "taken"))
    done = diffu("gen", "set x")
    assert (done.code, done.out, done.err) == (0, b"x = 1\n", "")
    assert "this run is not kept in the log (" in diffu("gen", "set x", "-v").err


def test_runs_are_deleted_by_id_and_by_number(diffu, says, log):
    says(ANSWER)
    for _ in range(4):
        diffu("gen", "set x")
    assert diffu("log", "rm", "last").code == 0
    assert diffu("log", "prune", "--keep", "2").lines[0].startswith("1 trace deleted")
    assert len(list(log.iterdir())) == 2
    assert diffu("log", "rm").code == 2
    assert diffu("log", "rm", "--all").code == 2, "nobody can be asked"
    assert diffu("log", "rm", "--all", "-y").code == 0
    assert list(log.iterdir()) == []
    assert diffu("log", "path").out.decode().strip() == str(log)


def test_a_damaged_trace_is_listed_and_told_in_a_line(diffu, says, log):
    says(ANSWER)
    diffu("gen", "set x")
    path = only(log)
    path.write_bytes(path.read_bytes()[:-9])
    assert "cannot be read" in diffu("log", "list").out.decode()
    done = diffu("log", "show")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "is cut off" in done.err


def test_a_text_that_is_too_long_is_left_out(diffu, says, monkeypatch):
    says("x = 1")
    monkeypatch.setattr(journal, "LONGEST_TEXT", 11)
    Path("a.py").write_text("???\ny = 2\n")
    assert diffu("fill", "a.py").out == b"x = 1\ny = 2\n"
    assert "its text is not kept" in diffu("log", "show").err


@pytest.mark.parametrize("preset", ["exact", "balanced", "fast", "factor", "entropy-bound"])
def test_the_trace_ends_with_the_text_of_the_run(diffu, loaded, preset, log):
    """On the golden checkpoint, whose answers are noise that is repaired: many canvases, with edits and candidates."""
    for number, argv in enumerate(
        (["gen", "x", "--length", "24"], ["fill", "a.py"], ["gen", "x", "-n", "3", "--length", "12"])
    ):
        Path("a.py").write_text("def f(a):\n    return ???\n\nb = ???3\n")
        done = diffu(*argv, "--preset", preset, "--verify", "warn", "--seed", str(number), "--json", "--temp", "0.5")
        assert done.code == 0
        told = json.loads(done.out)
        trace = file.load(max(log.iterdir()))
        (take,) = trace.takes
        canvas = b"".join(map(trace.reader.piece, fold(take.of(0)))).decode("utf-8", "replace")
        text = told["text"] if argv[0] == "gen" else told["files"][0]["text"]
        assert "".join(text.split()) in "".join(canvas.split()), "only the blanks at an edge of a hole may move"
        assert diffu("log", "show").out.decode() == text
        assert bool(take.of(2)) == ("-n" in argv)


def interrupted(command, environment, by) -> int:
    argv = [*command, "gen", "write", "--length", "1500", "--preset", "exact", "--seed", "1", "--jsonl"]
    child = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b'"stepped"' not in child.stdout.readline():
        pass
    child.send_signal(by)
    child.stdout.close()
    return child.wait(30)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_is_kept_and_goes_on_as_holes(command, environment, diffu, log, by):
    assert interrupted(command, environment, by) == -by
    assert "interrupted" in diffu("log", "list").out.decode()
    assert "was interrupted" in diffu("log", "show").err
    assert b"???" in diffu("log", "show", "last", "--partial").out
    assert only(log)
