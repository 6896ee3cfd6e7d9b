"""The real command behind a real terminal, pipe and shell: bytes, signals and what is left on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pyte
import pytest

from diffucli.ui.glyphs import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, COLUMNS = 24, 80
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
LONG = ("gen", "write", "--length", "1500", "--preset", "exact", "--seed", "1")  # minutes, if nobody stops it


class Terminal:
    """A pseudo-terminal of 24 rows of 80 columns, what came out of it, and the screen that shows it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.seen = b""

    def read(self, *, until: bytes, seconds: float = 60) -> None:
        """Reads until something shows. AssertionError: it does not come in time."""
        limit = time.monotonic() + seconds
        while until not in self.seen:
            assert time.monotonic() < limit, self.seen[-2000:]
            self._take(1)

    def drain(self) -> None:
        while select.select([self.master], [], [], 0.2)[0]:
            self._take(0)

    def rows(self) -> list[str]:
        """The rows in the scrollback and on the screen, without the blank ones at the end."""
        above = ["".join(row[column].data for column in range(COLUMNS)).rstrip() for row in self.screen.history.top]
        return "\n".join([*above, *(row.rstrip() for row in self.screen.display)]).rstrip().split("\n")

    def _take(self, patience: float) -> None:
        if select.select([self.master], [], [], patience)[0]:
            data = os.read(self.master, 65536)
            self.seen += data
            self._stream.feed(data)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    os.close(made.master)
    os.close(made.slave)


def start(terminal: Terminal, argv: list[str], environment: dict[str, str], **streams) -> subprocess.Popen[bytes]:
    """A child in a session of its own, with `terminal` as its controlling one and behind every stream not named."""

    def control() -> None:
        os.setsid()
        fcntl.ioctl(terminal.slave, termios.TIOCSCTTY, 0)

    places = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave, **streams}
    return subprocess.Popen(argv, env=environment, preexec_fn=control, **places)  # noqa: PLW1509 — no threads here


def test_a_terminal_gets_the_text_of_a_pipe_and_no_frame_stays(terminal, command, environment):
    argv = [*command, "gen", "x", "--length", "24", "--seed", "3", "--verify", "off", "--fps", "60"]
    result = Terminal()
    assert start(terminal, argv, environment, stdout=result.slave).wait(60) == 0
    piped = subprocess.run(f"{shlex.join(argv)} | cat", shell=True, capture_output=True, env=environment, check=True)
    result.drain()
    assert b"\x1e" in piped.stdout
    assert COLOUR.search(result.seen)
    assert COLOUR.sub(b"", result.seen).decode().replace("\r\n", "\n") == harmless(piped.stdout.decode(), "utf-8")
    terminal.drain()
    assert b"loading tiny-dream: importing torch" in terminal.seen
    assert b"loading tiny-dream: reading weights" in terminal.seen
    assert terminal.seen.index(b"computing a first time") < terminal.seen.index(b"\x1b[?25l")  # it was live
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")
    text = " ".join(terminal.rows())
    assert text.startswith("diffu: the canvas is full")
    assert " seed 3 · " in text
    full, doubt = piped.stderr.decode().splitlines()
    assert text.startswith(full)
    assert doubt.startswith("diffu: the model was not sure of this text"), "its weights are random"


def test_a_file_gets_them_too(command, environment, tmp_path):
    bad = [*command, "check", "-"]
    with (tmp_path / "out").open("wb") as file:
        subprocess.run(bad, input=b"(\n", stdout=file, env=environment, check=False)
    piped = subprocess.run(bad, input=b"(\n", stdout=subprocess.PIPE, env=environment, check=False)
    assert (tmp_path / "out").read_bytes() == piped.stdout == b"<stdin>:1:1: '(' was never closed\n"


def test_ctrl_c_kills_by_the_signal_and_stops_the_loop_around(terminal, command, environment):
    line = f"for i in 1 2 3; do echo round $i; {' '.join(command)} {' '.join(LONG)} --live always; done; echo after"
    child = start(terminal, ["bash", "-c", line], environment)
    terminal.read(until=b"masks left")
    os.write(terminal.master, b"\x03")
    assert child.wait(30) == -signal.SIGINT
    terminal.drain()
    assert terminal.rows() in (["round 1"], ["round 1", "^C"])
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")


def test_sigterm_gives_the_terminal_back_first(terminal, command, environment):
    child = start(terminal, [*command, *LONG], environment)
    terminal.read(until=b"masks left")
    child.terminate()
    assert child.wait(30) == -signal.SIGTERM
    terminal.drain()
    assert terminal.rows() == [""]
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("delay", [0.02, 0.1, 1.0])
def test_ctrl_c_before_the_model_is_there_is_silent_too(environment, delay):
    code = f"import sys, os; from diffucli.cli import main; sys.argv[1:] = {LONG}; os.write(1, b'up'); main()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, env=environment)
    assert child.stdout.read(2) == b"up"
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60) == (b"", b"")
    assert child.returncode == -signal.SIGINT


def test_a_reader_that_leaves_early_is_no_error(command, environment):
    line = f"{' '.join(command)} undo --help | head -c1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], stderr=subprocess.PIPE, env=environment, check=False)
    assert done.stderr == b""
    assert done.returncode in {0, 128 + signal.SIGPIPE}


def test_a_background_job_of_a_script_ignores_ctrl_c_as_its_shell_asked(command, environment):
    line = f"trap '' INT; {' '.join(command)} check - <<<'x = 1' & child=$!; sleep 0.02; kill -INT $child; wait $child"
    assert subprocess.run(["bash", "-c", line], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"q\n", 1), (b"\x03", 1)])
def test_ask_shows_a_diff_and_obeys(terminal, command, environment, tmp_path, *, typed, code):
    (tmp_path / "f.py").write_bytes(b"x = ???1\n")
    argv = [*command, "fill", "f.py", "-w", "--ask", "--seed", "1", "--verify", "off", "--live", "never"]
    child = start(terminal, argv, {**environment, "DIFFU_STATE": str(tmp_path / "state")}, cwd=tmp_path)
    terminal.read(until=b"[q]uit: ")
    assert b"\x1b[31m-x = ???1" in terminal.seen
    assert b"\x1b[32m+x = " in terminal.seen
    os.write(terminal.master, typed)
    assert child.wait(30) == code
    assert ((tmp_path / "f.py").read_bytes() == b"x = ???1\n") is bool(code)
