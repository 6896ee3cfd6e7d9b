"""The commands in the order in which people need them, each with a help text that ends in examples, and exit codes."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
import typer

from diffucli.cli.app import COMMANDS, app, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = typer.main.get_command(app)


def commands(command=ROOT, name: str = "diffu") -> Iterator[tuple[str, object]]:
    """Every command that can be run, by its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from commands(one, f"{name} {word}")


EVERY = dict(commands())


def test_the_help_lists_what_people_need_first(diffu):
    assert COMMANDS == (
        "gen",
        "fill",
        "check",
        "undo",
        "log",
        "replay",
        "trace",
        "model",
        "doctor",
        "config",
        "completion",
        "eval",
        "bench",
        "train",
    )
    rows = re.findall(r"^│ (\w+) ", diffu("--help").out.decode(), re.MULTILINE)
    assert tuple(rows) == COMMANDS


def test_without_a_version_wanted_none_is_told(diffu):
    assert re.fullmatch(rb"diffu \d+\.\d+\.\d+\S*\n", diffu("--version").out)
    assert b"diffu 0" not in diffu("--help").out


@pytest.mark.parametrize("name", EVERY)
def test_a_help_text_ends_in_two_examples_of_the_command(name, diffu, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    text = diffu(*name.split()[1:], "--help").out.decode()
    lines = [line.strip() for line in text.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(lines) == 2
    assert all(name in line for line in lines)


@pytest.mark.parametrize("name", EVERY)
def test_examples_use_flags_that_the_command_has(name):
    flags = {flag for param in EVERY[name].params for flag in param.opts} | {"-"}
    for line in filter(None, map(str.strip, EVERY[name].epilog.splitlines()[2:])):
        words = shlex.split(line.rpartition("|")[2])
        assert {word for word in words if word.startswith("-")} <= flags, line


@pytest.mark.parametrize("name", EVERY)
def test_every_option_says_what_it_does(name):
    for param in EVERY[name].params:
        if param.name != "help":
            assert param.help, param.name
            assert param.help.endswith((".", ")")), param.help
            assert "[" not in param.help, "square brackets vanish as markup"


@pytest.mark.parametrize(("argv", "code"), [(["check", "no.py"], 2), (["nope"], 2), (["--version"], 0), (["path"], 2)])
def test_a_run_returns_its_exit_code(diffu, argv, code):
    assert diffu(*argv).code == code


def test_an_exit_of_a_command_is_the_exit_code_and_no_error(diffu):
    done = diffu("check", stdin=b"def f(:\n")
    assert (done.code, done.err) == (1, "")


def test_ctrl_c_is_not_turned_into_an_exit_code(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffucli.cli.streams.inputs", stop)
    with pytest.raises(KeyboardInterrupt):
        run(["check"])
