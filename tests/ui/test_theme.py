"""What is known of a terminal's background. The other end of a pseudo-terminal plays the terminal that is asked."""

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time

import pytest

from diffucli.ui.theme import theme_of

DEVICE = b"\x1b[?62;22c"
WHITE, BLACK = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b]11;rgb:00/00/00\x07"
ASK = """
import os, sys, time
from diffucli.ui.theme import theme_of
print("ready", flush=True)
sys.stdin.readline()
begun = time.monotonic()
theme = theme_of(dict(pair.split("=") for pair in sys.argv[1:]))
print(theme, time.monotonic() - begun < 5, flush=True)
print("line:", sys.stdin.readline(), flush=True)
"""


@pytest.mark.parametrize(
    ("given", "theme"),
    [
        ("15;0", "dark"),
        ("0;15", "light"),
        ("0;default;7", "light"),
        ("7;8", "dark"),
        ("x", "dark"),
        ("0;default", "dark"),
    ],
)
def test_the_environment_may_say_it(given, theme):
    assert theme_of({"COLORFGBG": given}) == theme


class Played:
    """A child with a controlling terminal that we play."""

    def __init__(self, *env):
        self.master, slave = pty.openpty()

        def control():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        argv = [sys.executable, "-c", ASK, *env]
        self.child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=control)  # noqa: PLW1509
        os.close(slave)
        self.seen = b""
        self.until(b"ready\r\n")
        self.send(b"go\n")

    def send(self, data):
        os.write(self.master, data)

    def until(self, *ends):
        limit = time.monotonic() + 60
        while not any(end in self.seen for end in ends):
            assert time.monotonic() < limit, self.seen
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 1024)
        return self.seen

    def end(self):
        """What comes after the question, with a line typed at the end; the terminal echoes it as before."""
        self.until(b"True\r\n")
        self.send(b"typed\n")
        self.until(b"line: typed\r\n")
        self.child.wait(60)
        os.close(self.master)
        return self.seen.partition(b"go\r\n")[2]


@pytest.mark.parametrize(
    ("answers", "theme"),
    [
        ([WHITE + DEVICE], b"light"),
        ([BLACK + DEVICE], b"dark"),
        ([WHITE[:9], WHITE[9:], DEVICE], b"light"),
        ([DEVICE], b"dark"),
        ([b"\x1b]11;rgb:zz/zz/zz\x07" + DEVICE], b"dark"),
        ([], b"dark"),
    ],
)
def test_a_terminal_is_asked_and_its_answer_is_not_seen(answers, theme):
    played = Played("TERM=xterm-256color")
    played.until(b"\x1b[c", b"True")
    for answer in answers:
        played.send(answer)
    seen = played.end()
    assert seen.startswith(b"\x1b]11;?\x1b\\\x1b[c" + theme + b" True\r\ntyped\r\n"), seen


@pytest.mark.parametrize("env", [("TERM=linux",), ("TERM=screen",), ("TERM=xterm", "SSH_TTY=/dev/pts/1"), ()])
def test_who_cannot_answer_in_time_is_not_asked(env):
    assert Played(*env).end().startswith(b"dark True\r\n")


def test_nobody_is_asked_without_a_terminal():
    code = "from diffucli.ui.theme import theme_of; print(theme_of({'TERM': 'xterm'}))"
    done = subprocess.run([sys.executable, "-c", code], start_new_session=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"dark\n", b"")
