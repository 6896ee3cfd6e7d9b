"""A failure is one line on stderr with a remedy, an object where --json is given, and an exit code of its kind."""

from __future__ import annotations

import json

import pytest
import typer

from diffucli.cli import failure
from diffucli.cli.app import app
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
    assert err == "diffu: m (h)\n"
    assert json.loads(out) == {"schema": "diffu.error/1", "status": code, "error": "m", "hint": "h"}


def test_an_error_that_nobody_foresaw_is_code_70_and_names_itself(capsys):
    assert tell(ZeroDivisionError("a\nb"), Asked("diffu gen", json=True)) == INTERNAL == 70
    out, err = capsys.readouterr()
    assert err == "diffu: internal error: ZeroDivisionError: a b (set DIFFU_DEBUG=1 for the traceback)\n"
    assert json.loads(out)["status"] == 70


def test_a_refused_text_is_shown_around_its_fault_and_whole_in_the_object(capsys):
    assert tell(REFUSED, Asked("diffu fill", json=True)) == 3
    out, err = capsys.readouterr()
    excerpt, line = err.splitlines()
    assert excerpt == "> 2 x ="
    assert line.startswith("diffu: a.py:2:5: invalid syntax; nothing was written")
    told = json.loads(out)
    assert (told["status"], told["text"]) == (3, "y = 1\nx = \n")
    assert told["problems"] == [{"line": 2, "column": 5, "message": "invalid syntax"}]


def test_for_the_quiet_a_refusal_is_its_line_alone(capsys):
    tell(REFUSED, Asked("diffu fill", quiet=True))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_silent_get_the_code_alone(capsys):
    assert tell(REFUSED, Asked("diffu fill", silent=True)) == 3
    assert capsys.readouterr() == ("", "")


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
    monkeypatch.setattr(failure.streams, "abandon_stdout", lambda: None)
    assert tell(BrokenPipeError(), Asked("diffu gen", json=True)) == 141
    assert capsys.readouterr() == ("", "")
