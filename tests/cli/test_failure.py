"""A failure is one line on stderr with a remedy, an object where --json is given, and an exit code of its kind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import typer

from diffucli.cli import failure
from diffucli.cli.app import app, run
from diffucli.cli.failure import INTERNAL, Asked, asked, tell
from diffucli.errors import NoRoom, TargetChanged, UsageError, WriteFailed
from diffucli.syntax.check import CheckResult, Diagnostic
from diffucli.tasks.verify import Check, Refused

COMMAND = typer.main.get_command(app)
FAULT = Check(
    CheckResult(True, (Diagnostic(2, 5, "invalid syntax", 9, 10),)), "a.py:2:5: invalid syntax", "> 2 x =", True
)
REFUSED = Refused("y = 1\nx = \n", FAULT)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("m", hint="h"), 2),
        (WriteFailed("m", hint="h"), 2),
        (NoRoom("m", hint="h"), 4),
        (TargetChanged("m", hint="h"), 5),
    ],
)
def test_the_code_is_the_kind_of_the_error_in_line_and_object(capsys, error, code):
    assert tell(error, Asked("diffu gen", json=True)) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema": "diffu.error/1", "status": code, "error": "m", "hint": "h"}
    assert err == "", "it is said in one place"
    assert tell(error, Asked("diffu gen")) == code
    assert capsys.readouterr() == ("", "diffu: m (h)\n")


def test_an_error_that_nobody_foresaw_is_code_70_and_names_itself(capsys):
    assert tell(ZeroDivisionError("a\nb"), Asked("diffu gen")) == INTERNAL == 70
    said = "internal error: ZeroDivisionError: a b"
    assert capsys.readouterr().err == f"diffu: {said} (set DIFFU_DEBUG=1 for the traceback)\n"
    assert tell(ZeroDivisionError("a\nb"), Asked("diffu gen", json=True)) == 70
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["error"]) == (70, said)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(36, "File name too long", "a" * 9), 2, "aaaaaaaaa: File name too long (check the path"),
        (PermissionError(13, "Permission denied", b"a"), 2, "a: Permission denied"),
        (OSError(5, "Input/output error"), 2, "the system refuses it: Input/output error"),
        (MemoryError(), 4, "memory ran out (try a smaller --length"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 4, "memory ran out"),
        (
            ImportError("libtorch.so: failed to map\nsegment"),
            4,
            "a library cannot be loaded (libtorch.so: failed to map s",
        ),
        (RecursionError("maximum"), 2, "the input is nested too deeply"),
    ],
)
def test_what_the_system_refuses_is_no_internal_error(capsys, error, code, said):
    assert tell(error, Asked("diffu gen")) == code
    assert capsys.readouterr().err.startswith(f"diffu: {said}")


def test_a_folder_that_was_deleted_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["check", "a.py"]) == 2
    assert capsys.readouterr().err == "diffu: the current folder does not exist any more (cd to another one)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("words", ["--help", "model list"])
def test_a_full_stdout_is_told_with_its_exit_code(command, environment, words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*command, *words.split()], stdout=full, stderr=-1, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr == b"diffu: stdout: No space left on device (make room there, or write to another file)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize(("words", "code"), [("check nowhere.py", 2), ("check - -v", 0)])
def test_a_full_stderr_leaves_the_exit_code_as_it_is(command, environment, words, code):
    with Path("/dev/full").open("wb") as full:
        argv = [*command, *words.split()]
        done = subprocess.run(argv, stdout=-1, stderr=full, input=b"x = 1\n", env=environment, check=False)
    assert done.returncode == code


def test_a_refused_text_is_shown_around_its_fault_and_whole_in_the_object(capsys):
    assert tell(REFUSED, Asked("diffu fill")) == 3
    excerpt, line = capsys.readouterr().err.splitlines()
    assert excerpt == "> 2 x ="
    assert line.startswith("diffu: a.py:2:5: invalid syntax; nothing was written")
    assert tell(REFUSED, Asked("diffu fill", json=True)) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["text"]) == (3, "y = 1\nx = \n")
    assert told["problems"] == [{"line": 2, "column": 5, "message": "invalid syntax"}]


def test_for_the_quiet_a_refusal_is_its_line_alone(capsys):
    tell(REFUSED, Asked("diffu fill", quiet=True))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_silent_get_the_code_alone(capsys):
    assert tell(REFUSED, Asked("diffu fill", silent=True)) == 3
    assert capsys.readouterr() == ("", "")


def test_an_object_that_stdout_refuses_is_a_line(capsys, monkeypatch):
    def refuse(_: bytes) -> None:
        raise WriteFailed("stdout: full")

    monkeypatch.setattr(failure.streams, "put", refuse)
    assert tell(UsageError("m", hint="h"), Asked("diffu gen", json=True)) == 2
    assert capsys.readouterr().err == "diffu: m (h)\n"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["gen", "x"], Asked("diffu gen")),
        (["model", "show", "--json"], Asked("diffu model show", json=True)),
        (["bench", "speed", "--nope", "--json"], Asked("diffu bench speed", json=True)),
        (["--version", "gen", "-q"], Asked("diffu gen", quiet=True)),
        (["gen", "--json", "--", "-q"], Asked("diffu gen", json=True)),
        (["fill", "a.py", "-p", "--json"], Asked("diffu fill")),
        (["fill", "-"], Asked("diffu fill", silent=True, echo=True)),
        (["fill", "-", "-v"], Asked("diffu fill", echo=True)),
        (["fill", "-", "--on-fail", "empty"], Asked("diffu fill", silent=True)),
        (["fill", "-", "--json"], Asked("diffu fill", json=True)),
        (["model"], Asked("diffu model")),
        (["nope", "--json"], Asked("diffu")),
        ([], Asked("diffu")),
    ],
)
def test_what_arguments_ask_for_is_read_past_their_mistakes(argv, expected):
    assert asked(COMMAND, argv) == expected


def test_a_reader_that_went_away_is_told_nothing(capsys, monkeypatch):
    monkeypatch.setattr(failure.streams, "abandon", lambda _: None)
    assert tell(BrokenPipeError(), Asked("diffu gen", json=True)) == 141
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["gen", "write", "a", "quicksort"], "put the request in quotes"),
        (["gen", "- reverse a string"], 'follows --: diffu gen -- "- sort a list"'),
        (["gen", "--reverse a string"], "follows --"),
        (["gen", "--revers=a string"], "diffu gen --help"),
        (["gen", "-X"], "diffu gen --help"),
        (["undo", "one", "two"], "diffu undo --help"),
    ],
)
def test_a_request_that_the_shell_took_apart_or_that_looks_like_an_option_is_told_so(diffu, argv, hint):
    done = diffu(*argv)
    assert done.code == 2
    assert hint in done.lines[-1]


def test_behind_two_dashes_a_request_may_begin_with_one(diffu, says, loaded):
    says("x = 1\n```")
    assert diffu("gen", "--", "- reverse a string").code == 0
