"""The commands in the order in which people need them, each with a help text that ends in examples, and exit codes."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from diffucli.cli.app import COMMANDS, app, run

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
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
        "batch",
        "eval",
        "bench",
        "train",
        "help",
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


def test_no_number_of_an_option_may_be_nan():
    """It is within every range."""
    found = set()
    for name, command in EVERY.items():
        for option in command.params:
            if option.type_descriptor.annotation is float:
                found.add(option.name)
                with pytest.raises(typer.BadParameter):
                    pytest.fail(f"{name} took {option.process_value(command.context_class(command), 'nan')}")
    assert {"temperature", "speed", "minutes", "rate", "beta"} <= found


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


@pytest.mark.parametrize("words", [[], ["fill"], ["model"], ["model", "pull"], ["help"]], ids=" ".join)
def test_help_is_that_of_the_flag(words, diffu):
    asked, flagged = diffu("help", *words), diffu(*words, "--help")
    assert (asked.code, asked.out, asked.err) == (0, flagged.out, "")
    assert f"Usage: diffu {' '.join(words)}".strip().encode() in asked.out


@pytest.mark.parametrize("words", [["nosuch"], ["model", "nosuch"]], ids=" ".join)
def test_help_of_what_is_no_command_is_refused(words, diffu):
    done = diffu("help", *words)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "No such command" in done.err


def test_the_manual_page_is_that_of_the_commands():
    pages = runpy.run_path(str(REPOSITORY / "docs" / "scripts" / "pages.py"))
    page = (REPOSITORY / "docs" / "man" / "diffu.1").read_text(encoding="utf-8")
    assert pages["man_page"]() == page, "run python docs/scripts/pages.py"
    assert not [name for name in EVERY if f".SS {name.replace('-', chr(92) + '-')} [OPTION]..." not in page]
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"docs/man": "share/man/man1"}, "where man looks beside bin"


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_the_page_without_a_warning():
    done = subprocess.run(
        ["man", "--warnings", "-l", REPOSITORY / "docs" / "man" / "diffu.1"],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    shown = re.sub(r".\x08", "", done.stdout)
    assert "\n   diffu model pull [OPTION]... NAME\n" in shown
    assert "--preset balanced|fast|exact|factor|entropy-bound|p2|published\n" in shown
    assert 'diffu fill app.py -r Cfg.load -p "use a with statement" --diff\n' in shown
