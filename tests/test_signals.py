"""A real pseudo-terminal and a real process that plays a run: what it leaves behind, however it ends."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from diffucli.signals import deferred_signals

SCRIPT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from diffucli.events import Finished, Started, Stepped
from diffucli.ui.frame import View
from diffucli.ui.live import show

def events():
    try:
        yield Started((0,) * 6, 0, ((0, 6),))
        for step in range(1, 7):
            if step == 4:
                os.read(GATE, 1)  # the test says when to go on
            yield Stepped(step, (step - 1,), (step,), (0.9,), (0, 6), 6 - step, step, step / 10)
        yield Finished((1, 2, 3, 4, 5, 6), "complete", 6, 0.6)
        return 6
    finally:
        os.write(REPORT, b"closed")

print("above")
done = show(events(), lambda token: f"line {token} {'x' * 40}\\n".encode(), view=View(title="pty"), fps=1e9, share=1e9)
print("below", done)
"""
WAITING = "3 masks left"


class Run:
    """The child, its terminal and what that looks like."""

    def __init__(self, prelude=""):
        self.master, slave = pty.openpty()
        gate, self.gate = os.pipe()
        self.report, report = os.pipe()
        self.screen = pyte.HistoryScreen(100, 14, history=100)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(100, 14)
        env = dict(os.environ, TERM="linux", PYTHONIOENCODING="utf-8")  # like pyte, a linux console does not reflow
        self.child = subprocess.Popen(
            [sys.executable, "-c", prelude + SCRIPT.replace("GATE", str(gate)).replace("REPORT", str(report))],
            stdin=slave, stdout=slave, stderr=slave, pass_fds=[gate, report], env=env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        os.close(gate)
        os.close(report)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def feed(self, *, until=None):
        """Reads what the child writes until `until` is on the screen, or all of it."""
        deadline = time.monotonic() + 20
        while until is None or until not in "\n".join(self.screen.display):
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.rows()
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: the child is gone
                data = b""
            if not data:
                assert until is None, self.rows()
                return
            self.stream.feed(data)

    def go_on(self):
        os.write(self.gate, b".")

    def ended(self):
        """How the child ended, once it has closed its events."""
        assert os.read(self.report, 100) == b"closed"
        return self.child.wait()

    def rows(self):
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.gate)
        os.close(self.report)


@pytest.fixture
def run():
    runs = []

    def start(prelude=""):
        runs.append(Run(prelude))
        return runs[-1]

    yield start
    for each in runs:
        each.close()


def test_a_run_to_its_end_leaves_what_was_printed_and_nothing_else(run):
    it = run()
    it.feed(until=WAITING)
    assert it.screen.cursor.hidden
    assert it.rows()[1].startswith("line 1")
    it.go_on()
    it.feed()
    assert it.ended() == 0
    assert it.rows() == ["above", "below 6"]
    assert not it.screen.cursor.hidden
    assert len(it.screen.history.top) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_fatal_signal_cleans_up_and_kills(run, number):
    it = run()
    it.feed(until=WAITING)
    it.child.send_signal(number)
    it.feed()
    assert it.ended() == -number
    assert not it.screen.cursor.hidden
    assert it.rows() == ["above"]


def test_ctrl_c_cleans_up_and_is_a_keyboard_interrupt(run):
    it = run("import sys; sys.tracebacklimit = 1\n")
    it.feed(until=WAITING)
    os.write(it.master, b"\x03")
    it.feed()
    assert it.ended() == -signal.SIGINT
    assert not it.screen.cursor.hidden
    assert it.rows()[:2] == ["above", "Traceback (most recent call last):"]
    assert it.rows()[-1] == "KeyboardInterrupt"


def test_an_ignored_hangup_stays_ignored(run):
    it = run("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    it.feed(until=WAITING)
    it.child.send_signal(signal.SIGHUP)
    it.go_on()
    it.feed()
    assert it.ended() == 0
    assert it.rows()[-1] == "below 6"


def test_anothers_handler_is_called_after_the_clean_up_and_ends_the_run(run):
    it = run("import signal; signal.signal(signal.SIGTERM, lambda *_: print('theirs'))\n")
    it.feed(until=WAITING)
    it.child.send_signal(signal.SIGTERM)
    it.feed()
    assert it.ended() == 128 + signal.SIGTERM
    assert it.rows() == ["above", "theirs"]


def test_ctrl_z_gives_the_terminal_back_and_the_run_goes_on_after_it(run):
    it = run()
    it.feed(until=WAITING)
    it.child.send_signal(signal.SIGTSTP)
    for _ in range(200):  # an orphaned process group is not stopped; either way the view is gone and comes back
        if select.select([it.master], [], [], 0.05)[0]:
            it.stream.feed(os.read(it.master, 65536))
            break
    assert it.rows() == ["above"]
    it.child.send_signal(signal.SIGCONT)
    it.go_on()
    it.feed()
    assert it.ended() == 0
    assert it.rows() == ["above", "below 6"]
    assert not it.screen.cursor.hidden


@pytest.mark.parametrize(("columns", "rows"), [(30, 14), (20, 14), (120, 14), (100, 20)])
def test_a_resize_in_the_middle_leaves_no_residue(run, columns, rows):
    it = run()
    it.feed(until=WAITING)
    it.resize(columns, rows)
    it.go_on()
    it.feed()
    assert it.ended() == 0
    assert it.rows() == ["above", "below 6"]
    assert len(it.screen.history.top) == 0


def test_signals_wait_and_then_come_in_their_order():
    seen = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP)}
    try:
        for number in before:
            signal.signal(number, lambda number, _: seen.append(number))
        handlers = [signal.getsignal(number) for number in before]
        with deferred_signals():
            for number in (signal.SIGTSTP, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
            assert seen == []
        assert seen == [signal.SIGTSTP, signal.SIGINT, signal.SIGTERM]
        assert [signal.getsignal(number) for number in before] == handlers
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_ignored_or_the_systems_stays_so_while_others_wait():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with deferred_signals():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
