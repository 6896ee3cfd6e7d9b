"""When stdin is read without being asked for, and what stdout must not be."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from diffucli.cli import streams
from diffucli.errors import UsageError, WriteFailed


@pytest.fixture
def stdin(monkeypatch):
    """Makes the file behind a descriptor stdin."""

    with ExitStack() as files:

        def behind(descriptor: int) -> None:
            monkeypatch.setattr(sys, "stdin", files.enter_context(os.fdopen(descriptor, "r")))

        yield behind


def test_a_pipe_a_file_and_a_socket_are_given_and_nothing_else(stdin, tmp_path):
    reader, writer = os.pipe()
    stdin(reader)
    assert streams.stdin_is_given()
    assert streams.stdin_comes_along()
    os.close(writer)
    stdin(os.open(tmp_path / "f", os.O_RDONLY | os.O_CREAT))
    assert streams.stdin_is_given()
    assert streams.stdin_comes_along()
    stdin(os.open(os.devnull, os.O_RDONLY))
    assert not streams.stdin_is_given()
    assert not streams.stdin_comes_along()
    terminal, other = pty.openpty()
    stdin(other)
    assert not streams.stdin_is_given()
    assert not streams.stdin_comes_along()
    os.close(terminal)


def test_a_socket_is_read_where_nothing_else_is_given_but_does_not_come_along(stdin):
    """Every child of Node has a socket as stdin, which stays open as long as nobody ends it."""
    one, two = socket.socketpair()
    stdin(one.detach())
    assert streams.stdin_is_given()
    assert not streams.stdin_comes_along()
    assert not streams.stdin_is_ignored(), "nothing is waiting on it"
    two.sendall(b"x = 1\n")
    assert streams.stdin_is_ignored()
    two.close()
    assert streams.read_stdin() == b"x = 1\n", "what was looked for is still there"
    assert not streams.stdin_is_ignored(), "it has ended"


def test_a_file_that_is_read_in_part_is_the_list_of_a_loop(stdin, tmp_path):
    (tmp_path / "list").write_text("one\ntwo\n")
    descriptor = os.open(tmp_path / "list", os.O_RDONLY)
    os.lseek(descriptor, 4, os.SEEK_SET)
    stdin(descriptor)
    assert not streams.stdin_comes_along()
    assert streams.stdin_is_given(), "a command that has nothing else reads the rest"
    assert streams.read_stdin() == b"two\n"


def test_a_stdin_that_does_not_block_is_read_to_its_end(stdin):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    stdin(reader)
    sender = threading.Thread(target=lambda: (time.sleep(0.05), os.write(writer, b"x"), os.close(writer)))
    sender.start()
    assert streams.read_stdin() == b"x"
    sender.join()


def test_a_stdin_that_is_closed_or_a_stand_in_is_not_given(stdin):
    stdin(os.open(os.devnull, os.O_RDONLY))
    sys.stdin.close()
    assert not streams.stdin_is_given()
    assert not streams.stdin_comes_along()
    assert not streams.stdin_is_ignored()


@pytest.mark.parametrize(
    "twice", [["a.py", "a.py"], ["a.py", "./a.py"], ["a.py", "sub/../a.py"], ["a.py", "link.py"], ["-", "-"]]
)
def test_a_file_named_twice_is_refused_by_whatever_name(twice):
    Path("a.py").touch()
    Path("sub").mkdir()
    Path("link.py").symlink_to("a.py")
    with pytest.raises(UsageError, match="is named twice"):
        streams.require_distinct([Path(name) for name in twice])


@pytest.mark.parametrize(
    "line", ["fill f.py > f.py", "fill f.py -w >> f.py", "gen x -c f.py > f.py", "fill - < f.py > f.py"]
)
def test_stdout_must_not_be_what_is_read(command, environment, line):
    Path("f.py").write_text("x = ???\n")
    done = subprocess.run(
        f"{' '.join(command)} {line}", shell=True, stderr=subprocess.PIPE, env=environment, check=False
    )
    assert done.returncode == 2
    assert b"the shell empties before it is read" in done.stderr or "fill -" in line


def test_what_stdout_refuses_is_told_and_not_tried_again(monkeypatch):
    class Full:
        buffer = None

        def flush(self):
            raise OSError(28, "No space left on device")

    given_up = []
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(streams, "abandon", lambda _: given_up.append(True))
    with pytest.raises(WriteFailed, match="stdout: No space left on device"):
        streams.put(b"x")
    assert given_up


def test_a_silent_stdin_is_explained_at_a_terminal(command, environment):
    """`diffu check -` would seem to hang else."""
    terminal, other = pty.openpty()
    child = subprocess.Popen([*command, "check", "-"], stdin=other, stdout=other, stderr=other, env=environment)
    said = os.read(terminal, 1000)
    os.write(terminal, b"x = 1\n\x04")
    assert child.wait(20) == 0
    assert b"diffu: waiting for stdin (end it with ctrl-d" in said
    os.close(terminal)
    os.close(other)


@pytest.mark.parametrize("sent", [b"", b"x = 1\n"])
def test_a_stdin_that_does_not_end_is_told_also_without_a_terminal(stdin, monkeypatch, sent):
    told: list[str] = []
    one, two = socket.socketpair()
    stdin(one.detach())
    two.sendall(sent)
    monkeypatch.setattr(streams, "PATIENCE", 0.01)
    monkeypatch.setattr(streams, "say", lambda line: (told.append(line), two.close()))
    assert streams.read_stdin() == sent
    assert told == ["diffu: waiting for stdin (close it at its other end, or give </dev/null)"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_filter_that_is_killed_has_echoed_what_it_read(environment, name):
    """An editor would else replace the text by nothing."""
    code = (
        f"import signal, sys; from diffucli.cli import main, session; sys.argv[1:] = ['fill', '-']\n"
        f"session.begin = lambda *_, **__: signal.raise_signal(signal.{name})\nmain()"
    )
    text = b"x = ???\n# " + b"y" * 200_000 + b"\n"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-getattr(signal, name), text, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_stderr_does_not_keep_a_file_from_being_written(command, environment, tmp_path):
    (tmp_path / "a.py").write_text("x = ???1\n")
    argv = [*command, "fill", "a.py", "-w", "-v", "--seed", "1", "--verify", "off"]
    where = {**environment, "DIFFU_STATE": str(tmp_path / "state")}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(argv, cwd=tmp_path, stdout=-1, stderr=full, env=where, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "???" not in (tmp_path / "a.py").read_text()
