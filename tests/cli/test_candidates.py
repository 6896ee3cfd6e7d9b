"""Candidates are shown one after the other until one is accepted; only that one is written."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from diffucli.cli.destination import outputs
from diffucli.tasks.doubt import Calibration


class Typed(io.StringIO):
    """A terminal at which these lines are typed; what is no text is raised."""

    def __init__(self, *lines: str | BaseException) -> None:
        super().__init__()
        self.lines = list(lines)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError

    def readline(self, *_: object) -> str:
        line = self.lines.pop(0) if self.lines else ""
        if isinstance(line, BaseException):
            raise line
        return line


@pytest.fixture
def asked(diffu, says, monkeypatch):
    """asked(*lines): `diffu fill a.py -n 2 -w --ask` with two candidates, 1 and 2, answered by what is typed."""
    monkeypatch.setenv("NO_COLOR", "1")

    def go(*lines, flags=("-w",)):
        says("1", "2")
        Path("a.py").write_text("x = ???1\n")
        with monkeypatch.context() as patched:
            opened = Path.open
            patched.setattr(
                Path, "open", lambda self, *a, **k: Typed(*lines) if str(self) == "/dev/null" else opened(self, *a, **k)
            )
            return diffu("fill", "a.py", "-n", "2", *flags, "--ask")

    return go


def test_yes_writes_what_is_shown(asked):
    done = asked("y\n")
    assert (done.code, done.out, Path("a.py").read_text()) == (0, b"", "x = 1\n")
    assert "-x = ???1\n+x = 1\n" in done.err
    assert "candidate 1 of 2\n" in done.err
    assert "candidate 2" not in done.err


def test_next_shows_the_other_one(asked):
    done = asked("what?\n", "N\n", "yes\n")
    assert (done.code, Path("a.py").read_text()) == (0, "x = 2\n")
    assert done.err.count("write this? [y]es, [n]ext, [q]uit: ") == 3


@pytest.mark.parametrize("lines", [["q\n"], ["n\n", "n\n"], [], [KeyboardInterrupt()], ["n\n", KeyboardInterrupt()]])
def test_the_file_stays_where_none_is_accepted(asked, lines):
    done = asked(*lines)
    assert (done.code, Path("a.py").read_text()) == (1, "x = ???1\n")
    assert done.lines[-1].endswith("nothing was written to a.py")


def test_an_output_gets_the_accepted_one(asked):
    assert asked("n\n", "y\n", flags=("-o", "b.py")).code == 0
    assert (Path("a.py").read_text(), Path("b.py").read_text()) == ("x = ???1\n", "x = 2\n")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ((), "diffu: --ask needs a file to write (add -w or -o FILE)"),
        (("-w", "--json"), "diffu: --ask does not go with --json (use --pick all, and choose yourself)"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, flags, line):
    done = asked("y\n", flags=flags)
    told = [f"diffu: {error['error']} ({error['hint']})" for error in map(json.loads, done.out.splitlines())]
    assert (done.code, told or done.lines) == (2, [line])


def test_without_a_terminal_nobody_can_be_asked(diffu):
    Path("a.py").write_text("x = ???1\n")
    done = diffu("fill", "a.py", "-w", "--ask")
    assert (done.code, done.lines) == (
        2,
        ["diffu: --ask needs a terminal on stdin, where the answers are typed (leave it out)"],
    )


def test_numbers_stand_before_the_suffix():
    assert [str(outputs(Path(name), several=2)[1]) for name in ("a/out.py", "out", "x.tar.gz")] == [
        "a/out.2.py",
        "out.2",
        "x.tar.2.gz",
    ]
    assert outputs(Path("out.py")) == [Path("out.py")]
    assert outputs(None) == outputs(None, several=2) == []


def test_each_candidate_has_its_own_doubt(asked, monkeypatch):
    calibration = Calibration(
        (0.0, 0.2, 0.0, 0.0, 0.0), 0.0, threshold=1.0
    )  # by what the model says of a text read again
    monkeypatch.setattr("diffucli.tasks.doubt.read", lambda _: {"fill": calibration})
    told = re.findall(
        r"candidate (\d) of 2: the model was not sure of this text: .* probability of (\d+)%\n", asked("n\n", "q\n").err
    )
    assert [number for number, _ in told] == ["1", "2"]


def test_the_view_says_that_it_shows_one_of_them(diffu, says, monkeypatch):
    says("1", "2")
    Path("a.py").write_text("x = ???1\n")
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: True)
    assert "tiny-dream, 1 of 2 candidates" in diffu("fill", "a.py", "-n", "2").err
    assert "candidates" not in diffu("fill", "a.py").err
