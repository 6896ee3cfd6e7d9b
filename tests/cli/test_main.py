"""From arguments to exit codes: a failure is one line with a remedy, an object where --json asks, never a traceback."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffucli.cli import check, failure
from diffucli.cli.app import app, run
from diffucli.errors import (
    BadCheckpoint,
    DiffuError,
    ModelError,
    NoRoom,
    TargetChanged,
    Unparsable,
    UsageError,
    WriteFailed,
)

BAD = "def f(:\n"


def test_version_and_help_are_said_on_stdout(diffu):
    assert diffu("--version").out.startswith(b"diffu 0.")
    assert b"gen" in diffu("--help").out
    assert b"--region" in diffu("fill", "-h").out


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_waiting_threads_leave_the_cores_to_others_unless_the_user_wants_otherwise(given, policy):
    code = """
import os, sys
from diffucli.cli import main
sys.argv = ["diffu", "--version"]
try:
    main()
finally:
    print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{policy} False", "it is set before torch is imported"


@pytest.mark.parametrize("argv", [[], ["model"]])
def test_without_a_command_there_is_help_and_exit_2(diffu, argv):
    done = diffu(*argv)
    assert done.code == 2
    assert b"Usage:" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("m", hint="h"), 2),
        (WriteFailed("m", hint="h"), 2),
        (Unparsable("m", hint="h"), 3),
        (BadCheckpoint("m", hint="h"), 4),
        (NoRoom("m", hint="h"), 4),
        (TargetChanged("m", hint="h"), 5),
    ],
)
def test_an_error_is_one_line_and_its_own_exit_code(diffu, monkeypatch, error: DiffuError, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("diffucli.syntax.languages.detect", fail)
    assert diffu("check", stdin=b"x").lines == ["diffu: m (h)"]
    done = diffu("check", "--json", stdin=b"x")
    assert done.code == code
    assert json.loads(done.out) == {"schema": "diffu.error/1", "status": code, "error": "m", "hint": "h"}


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), ValueError(), KeyError("x")])
def test_what_should_not_happen_is_one_line_and_exit_70(diffu, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("diffucli.syntax.languages.detect", fail)
    done = diffu("check", stdin=b"x")
    assert done.code == 70
    assert len(done.lines) == 1
    assert done.err.startswith("diffu: internal error: ")
    assert "set DIFFU_DEBUG=1 for the traceback" in done.err
    monkeypatch.setenv("DIFFU_DEBUG", "1")
    assert "Traceback" in diffu("check", stdin=b"x").err


def test_ctrl_c_comes_out_of_a_run_for_the_process_to_die_of(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffucli.cli.streams.inputs", stop)
    with pytest.raises(KeyboardInterrupt):
        run(["check", "x.py"])


def test_a_broken_pipe_is_quiet_where_there_is_no_signal_for_it(diffu, monkeypatch, capfd):
    def broken(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("diffucli.cli.streams.inputs", broken)
    monkeypatch.setattr("diffucli.cli.streams.abandon", lambda _: None)
    done = diffu("check", "--json", "x.py")
    assert (done.code, done.out, done.err) == (failure.PIPE, b"", "")


@pytest.mark.parametrize(
    ("argv", "is_json"),
    [
        (["check", "--json", "no.py"], True),
        (["check", "no.py", "--json"], True),
        (["check", "-qv", "--json", "no.py"], True),
        (["check", "--nope", "--json"], True),
        (["gen", "--seed", "x", "--json", "prompt"], True),
        (["gen", "prompt", "--json", "--seed"], True),
        (["model", "show", "--json", "no-such"], True),
        (["check", "--", "--json"], False),
        (["gen", "a", "--", "--json", "b"], False),
        (["fill", "-p", "--json", "no.py"], False),
        (["gen", "--seed", "--json"], False),
        (["--json"], False),
        (["nope", "--json"], False),
    ],
)
def test_json_is_asked_for_by_the_flag_alone(diffu, argv, is_json):
    done = diffu(*argv)
    assert done.code in {2, 4}
    assert len(done.lines) == (not is_json)
    assert bool(done.out) is is_json
    if is_json:
        told = json.loads(done.out)
        assert (told["schema"], told["status"]) == ("diffu.error/1", done.code)
        assert done.err == "", "a script has one place to read"


def test_the_hint_of_a_wrong_flag_names_the_command(diffu):
    assert diffu("model", "show", "--nope").lines == ["diffu: No such option: --nope (diffu model show --help)"]


def test_a_line_stays_one_and_shows_what_would_steer_a_terminal(diffu):
    done = diffu("check", "a\nb\x1b[31m.py")
    assert len(done.lines) == 1
    assert "a\\nb" in done.err
    assert "\x1b" not in done.err


def test_every_command_has_a_help_text_that_ends():
    for command in app.registered_commands:
        assert (command.callback.__doc__ or "").strip().endswith(".")


def test_a_command_gets_its_groups_of_flags(diffu):
    Path("bad.py").write_text(BAD)
    assert check.check.__doc__
    assert diffu("check", "bad.py", "--json").out
    assert diffu("check", "bad.py").out == b"bad.py:1:7: invalid syntax\n"


def test_a_full_disk_behind_stdout_is_a_failure_in_one_line(command, environment):
    Path("bad.py").write_text(BAD)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "check", "bad.py"], stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "diffu: stdout: No space left on device (make room there, or write to another file)"
    ]


def test_closed_streams_are_no_traceback(command, environment):
    Path("bad.py").write_text(BAD)
    line = f"{' '.join(command)} check bad.py <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], env=environment, check=False).returncode == 2


@pytest.mark.parametrize(("where", "reason"), [("&-", " is closed"), ("/dev/full", ": No space left on device")])
@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_a_result_that_stdout_does_not_take_is_not_lost_in_silence(command, environment, where, reason, json_):
    Path("bad.py").write_text(BAD)
    line = f"{' '.join([*command, 'check', 'bad.py', *json_])} >{where}"
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"diffu: stdout{reason} (")


def test_a_closed_stdout_is_no_matter_where_nothing_is_printed(command, environment):
    Path("good.py").write_text("x = 1\n")
    line = f"{' '.join(command)} check good.py >&-"
    assert subprocess.run(["bash", "-c", line], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("sound", [True, False])
def test_the_garbage_collector_is_on_again_after_a_load(diffu, loaded, monkeypatch, sound):
    """Also after one that fails. Meanwhile it is off, since it would cost a fifth of all imports."""
    during = []

    def load(*_: object, **__: object) -> object:
        during.append(gc.isenabled())
        if not sound:
            raise ModelError("it cannot be loaded")
        return loaded

    monkeypatch.setattr("diffucli.model.load.load", load)
    assert (diffu("gen", "x", "--length", "4").code == 4) is not sound
    assert during == [False]
    assert gc.isenabled()


SIZES = {"COLUMNS": "0", "LINES": "x", "TERMINAL_WIDTH": "1.5"}


@pytest.mark.parametrize(
    ("environment", "is_plain"), [({"GITHUB_ACTIONS": "true", **SIZES}, True), ({"FORCE_COLOR": "1"}, False)]
)
def test_the_help_is_there_and_plain_in_a_pipe_whatever_the_environment_says_of_terminals(environment, is_plain):
    others = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "PY_COLORS"}}
    argv = [sys.executable, "-m", "diffucli", "check", "--help"]
    done = subprocess.run(argv, env={**others, **environment}, capture_output=True, text=True, check=True)
    assert "Check that files parse." in done.stdout
    assert ("\x1b" not in done.stdout) is is_plain
