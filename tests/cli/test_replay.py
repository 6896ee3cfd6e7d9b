"""`diffu replay`: a run again, on a terminal by keys, without one its text alone; from the log, a file or a pipe."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffucli.cli.replay import QUIT, Keys

ANSWER = "x = 1\n```<|im_end|>"
KEPT = Path(__file__).parents[1] / "data" / "traces" / "schema-1.jsonl.xz"


def test_without_a_terminal_the_text_alone_is_printed(diffu, says):
    says(ANSWER)
    diffu("gen", "set x")
    done = diffu("replay")
    assert (done.code, done.out, done.err) == (0, b"x = 1\n", "")


def test_what_jsonl_prints_is_the_trace_and_is_replayed_from_a_file(diffu, says, tmp_path):
    says(ANSWER)
    done = diffu("gen", "set x", "--jsonl", "--seed", "1")
    lines = done.out.decode().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert (first["schema"], first["command"], first["request"]) == ("diffu.trace/1", "gen", "set x")
    assert (last["schema"], last["text"], done.err) == ("diffu.run/1", "x = 1\n", "")
    file = tmp_path / "run.jsonl"
    file.write_bytes(done.out)
    assert diffu("replay", file).out == b"x = 1\n"
    kept = subprocess.run(
        ["xz", "-dc", *(tmp_path / "state" / "log").iterdir()], capture_output=True, check=True
    ).stdout
    assert [json.loads(line) for line in kept.splitlines()] == [json.loads(line) for line in lines]


def test_an_error_is_the_last_line_of_jsonl(diffu, says):
    says("x = (\n```<|im_end|>")
    done = diffu("gen", "set x", "--jsonl")
    assert done.code == 3
    assert json.loads(done.out.splitlines()[-1])["schema"] == "diffu.error/1"
    assert diffu("replay").out == b""


def test_a_filled_file_and_all_candidates_are_streams_too(diffu, says, tmp_path):
    says("x = 1")
    Path("a.py").write_text("???\n")
    for argv in (["fill", "a.py"], ["fill", "a.py", "-w"], ["gen", "x", "-n", "2", "--pick", "all"]):
        done = diffu(*argv, "--jsonl")
        assert [json.loads(line) for line in done.out.splitlines()][-1]["schema"] == "diffu.run/1"
        (tmp_path / "run.jsonl").write_bytes(done.out)
        assert diffu("replay", tmp_path / "run.jsonl").out.strip() == b"x = 1"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "is neither a run of the log nor a file"),
        (["last"], "no run is in the log"),
        (["a.py"], "no line of a trace"),
        (["empty"], "is empty"),
        ([KEPT, "--step"], "--step needs a terminal"),
        ([KEPT, "--speed", "0"], "--speed"),
        (["-"], "is empty"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_a_line(diffu, argv, message):
    Path("a.py").write_text("x = 1\n")
    Path("empty").write_text("")
    done = diffu("replay", *argv)
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert message in done.err


def test_slow_needs_a_terminal(diffu, says):
    says(ANSWER)
    done = diffu("gen", "x", "--slow")
    assert (done.code, done.lines) == (
        2,
        ["diffu: --slow needs the live view, on a terminal (leave it out; diffu replay shows a run again)"],
    )


def test_slow_holds_each_step_on_a_terminal(diffu, says, monkeypatch):
    says(ANSWER)
    held = []
    monkeypatch.setattr("diffucli.ui.wants_live", lambda *_: True)
    monkeypatch.setattr("diffucli.ui.live.time.sleep", held.append)
    assert diffu("gen", "x", "--slow").out == b"x = 1\n"
    assert held.count(0.25) == 2, "the first canvas and its step; the last one is not held"


def test_no_torch_is_imported(environment):
    run = f"import sys\nfrom diffucli.cli.app import run\nrun(['replay', {str(KEPT)!r}])"
    code = f"{run}\nassert 'diffucli.trace.file' in sys.modules\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)


class Terminal:
    """The real command behind a terminal of its own, whose keys are pressed here."""

    def __init__(self, argv, environment, stdin=None) -> None:
        self.master, slave = pty.openpty()
        self.child = subprocess.Popen(
            [sys.executable, "-m", "diffucli", *argv],
            stdin=slave if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = b""

    def until(self, text: bytes) -> None:
        limit = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen[-500:]
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536)

    def press(self, keys: bytes, until: bytes) -> None:
        self.seen = b""
        os.write(self.master, keys)
        self.until(until)

    def end(self) -> bytes:
        out, _ = self.child.communicate(timeout=60)
        os.close(self.master)
        return out


def test_keys_go_step_by_step_and_back(environment):
    terminal = Terminal(["replay", str(KEPT), "--step"], environment)
    terminal.until(b"step 0")
    terminal.press(b"l", b"step 1")
    terminal.press(b"\x1b[C", b"step 2")
    terminal.press(b"ll", b"step 4")
    terminal.press(b"\x1b[D", b"step 3")
    terminal.press(b"g", b"step 0")
    terminal.press(b"G", b"0 masks left")
    os.write(terminal.master, b"q")
    assert terminal.end().startswith(b"def mean(xs):\n    return sum(xs) / len(xs)\n")
    assert terminal.child.returncode == 0


def test_it_plays_to_the_end_by_itself_and_from_a_pipe(environment, tmp_path):
    lines = subprocess.run(["xz", "-dc", KEPT], capture_output=True, check=True).stdout
    plain = tmp_path / "run.jsonl"
    plain.write_bytes(lines)
    with plain.open("rb") as pipe:
        for argv, stdin in (([str(plain)], None), (["-"], pipe)):
            terminal = Terminal(["replay", *argv, "--speed", "200"], environment, stdin)
            terminal.until(b"\x1b[?1049l")
            assert terminal.end().startswith(b"def mean(xs):\n    return sum(xs) / len(xs)\n")


@pytest.mark.parametrize("form", ["cast", "svg", "html", "txt", "json"])
def test_a_run_is_exported_in_every_form(diffu, form):
    printed = diffu("replay", KEPT, "--export", form)
    assert (printed.code, printed.err) == (0, "")
    assert diffu("replay", KEPT, "--export", form, "-o", "out").code == 0
    assert Path("out").read_bytes() == printed.out
    assert b"mean" in printed.out
    if form == "json":
        assert diffu("replay", "out").out.startswith(b"def mean(xs):")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-o", "run.svg"], "-o needs a form"),
        (["--export", "svg", "--step"], "exclude each other"),
        (["--export", "svg", "--candidate", "2"], "there is no candidate 2"),
        (["--export", "gif"], "gif"),
        (["--export", "svg", "-o", "no/where/run.svg"], "no/where"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_line(diffu, argv, message):
    done = diffu("replay", KEPT, *argv)
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert message in done.err


def test_a_terminal_that_is_gone_ends_the_replay():
    """Nothing can be pressed there any more, and its descriptor is always ready: the replay would never sleep."""
    ours, theirs = pty.openpty()
    keys = Keys(theirs)
    keys.enter()
    os.write(ours, b" q")
    assert keys.read() == [b" ", QUIT]
    os.close(ours)
    assert keys.read() == [QUIT]
    os.close(theirs)
