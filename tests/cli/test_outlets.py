"""-o and files to read may be streams: descriptors, as of /dev/stdout and >(command), devices and named pipes."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from diffucli.cli import outlets, streams
from diffucli.errors import UsageError, WriteFailed

CODE = "x = 1\n"
ANSWER = "x = 1\n```<|im_end|>"


@pytest.fixture
def pipe():
    """The two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_text_goes_into_a_descriptor_behind_what_is_there(diffu, says, pipe):
    says(ANSWER)
    reader, writer = pipe
    os.write(writer, b"before\n")
    told = json.loads(diffu("gen", "set x", "-o", f"/dev/fd/{writer}", "--json").out)
    assert os.read(reader, 100) == b"before\n" + CODE.encode()
    assert (told["file"], told["undo"]) == (f"/dev/fd/{writer}", None)
    assert diffu("undo", "--list").out == b"", "nothing can be undone"


@pytest.mark.parametrize("name", ["/dev/null", "link"])
def test_a_device_is_written_and_stays_one(diffu, says, name):
    says(ANSWER)
    Path("link").symlink_to("/dev/null")
    assert diffu("gen", "set x", "-o", name).code == 0
    assert Path(name).is_char_device()
    Path("a.py").write_text("y = ???1\n")
    assert diffu("fill", "a.py", "-o", name, "--verify", "off").code == 0
    assert Path(name).is_char_device()


def test_a_named_pipe_is_waited_for_which_is_told_and_written_to(diffu, says, monkeypatch, capsys):
    says(ANSWER)
    os.mkfifo("fifo")
    monkeypatch.setattr(streams, "PATIENCE", 0.0)
    monkeypatch.setattr(outlets, "POLL", 0.001)
    told, read = threading.Event(), []
    say = streams.say
    monkeypatch.setattr(streams, "say", lambda line: (say(line), told.set()))
    reader = threading.Thread(target=lambda: (told.wait(), read.append(Path("fifo").read_bytes())))
    reader.start()
    done = diffu("gen", "set x", "-o", "fifo", "--lang", "python")
    reader.join(10)
    assert done.lines[0] == "diffu: waiting for a reader of fifo"
    assert (done.code, read) == (0, [CODE.encode()])
    assert Path("fifo").is_fifo()


def test_a_terminal_gets_it_without_what_would_steer_it():
    terminal, other = pty.openpty()
    outlet = outlets.opened(Path(os.ttyname(other)))
    assert outlet
    outlet.put(b"a\x1b[2J\n")
    assert os.read(terminal, 100) == "a␛[2J\r\n".encode()
    for descriptor in (terminal, other):
        os.close(descriptor)


def test_a_stream_that_does_not_block_gets_everything():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    read: list[bytes] = []

    def drain() -> None:
        time.sleep(0.05)
        while piece := os.read(reader, 1 << 20):
            read.append(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    data = bytes(range(256)) * 4000
    outlets.Outlet(Path(f"/dev/fd/{writer}"), writer).put(data)
    os.close(writer)
    thread.join(10)
    os.close(reader)
    assert b"".join(read) == data


def test_what_cannot_be_written_is_found_before_the_run(pipe):
    reader, _ = pipe
    with pytest.raises(WriteFailed, match=f"/dev/fd/{reader}: is open for reading alone"):
        outlets.opened(Path(f"/dev/fd/{reader}"))
    with pytest.raises(WriteFailed, match="/dev/fd/987 is closed"):
        outlets.opened(Path("/dev/fd/987"))
    for name in ("a.py", ".", "no/b.py"):
        assert outlets.opened(Path(name)) is None, "that is no stream"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_what_a_device_refuses_is_kept(diffu, says):
    says(ANSWER)
    done = diffu("gen", "set x", "-o", "/dev/full")
    assert done.code == 2
    assert "/dev/full: No space left on device; the new text is kept in " in done.err


def test_a_stream_takes_one_text(diffu, says):
    says(ANSWER)
    done = diffu("gen", "set x", "-o", "/dev/null", "-n", "2", "--pick", "all")
    assert (done.code, "is a stream, which takes one text" in done.err) == (2, True)


def test_what_leads_to_stdout_is_as_without_the_option():
    """Also the file behind it, which a rename would take from under what else writes there."""
    code = (
        "import sys; from pathlib import Path; from diffucli.cli import outlets\n"
        "print([outlets.standard_of(Path(name)) for name in sys.argv[1:]])"
    )
    names = [
        "/dev/stdout",
        "/dev/fd/1",
        "/proc/self/fd/1",
        "log",
        "/dev/stderr",
        "err",
        "other",
        "nothing",
        "/dev/stdin",
    ]
    line = f"{shlex.join([sys.executable, '-c', code, *names])} >> log 2>> err"
    Path("other").touch()
    Path("log").write_text("before\n")
    subprocess.run(["bash", "-c", line], check=True)
    assert Path("log").read_text() == f"before\n{[1, 1, 1, 1, 2, 2, None, None, None]}\n"


def test_a_log_that_is_stdout_keeps_its_lines(command, environment):
    """The whole command: -o /dev/stdout replaced the log by a new file."""
    diffu = f"{shlex.join(command)} gen x -q --length 4 --seed 1 --verify off -o /dev/stdout"
    Path("log").write_text("first\n")
    subprocess.run(["bash", "-c", f"{{ echo before; {diffu}; echo after; }} >> log"], env=environment, check=True)
    lines = Path("log").read_text(errors="replace").split("\n")
    assert lines[:2] == ["first", "before"]
    assert lines[-2:] == ["after", ""]
    assert len(lines) > 4


@pytest.mark.parametrize("words", [["check", "FD"], ["gen", "x", "-c", "FD"], ["gen", "-f", "FD"], ["fill", "FD"]])
def test_a_descriptor_is_read_as_of_a_process_substitution(diffu, says, words, pipe):
    says(*[ANSWER] * 3)
    reader, writer = pipe
    os.write(writer, b"y = ???2\n" if words[0] == "fill" else b"set = 1\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    done = diffu(*[word.replace("FD", f"/dev/fd/{reader}") for word in words])
    assert done.code == 0, done.err


def test_stdin_is_itself_by_whatever_name(diffu, says):
    seen = says(*[ANSWER] * 3)
    for name in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        assert streams.named(Path(name)) == streams.STDIN
    with pytest.raises(UsageError, match="is named twice"):
        streams.require_distinct(streams.inputs([Path("-"), Path("/dev/stdin")], purpose="check"))
    assert streams.is_filter({"files": [Path("/dev/stdin")]})
    Path("a.py").touch()
    for name in ("a.py", "5", "nothing", "/dev/null", "/dev/fd", "/dev/fd/x"):
        assert streams.named(Path(name)) == Path(name)
    assert not seen
