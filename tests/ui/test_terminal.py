import io
import os
import pty
import signal
from dataclasses import dataclass

import pyte
import pytest
from rich.segment import Segment

from diffucli.ui.terminal import FALLBACK, Screen, size_of, wants_live

UNWRAPPED = "\x1b[?7l"


@dataclass
class Rows:
    """Draws the given rows, whatever the size."""

    rows: list[str]

    def lines(self, width, height=None):
        return [[Segment(row)] for row in self.rows]


class Tty(io.StringIO):
    def isatty(self):
        return True


def terminal(columns=40, rows=10):
    screen = pyte.HistoryScreen(columns, rows, history=1000)
    return screen, pyte.Stream(screen)


def shown(screen):
    return [row.rstrip() for row in screen.display if row.strip()]


@pytest.mark.parametrize(
    ("mode", "tty", "term", "live"),
    [
        ("auto", True, "xterm-256color", True),
        ("auto", True, "dumb", False),
        ("auto", False, "xterm-256color", False),
        ("always", False, "dumb", True),
        ("never", True, "xterm-256color", False),
    ],
)
def test_live_is_for_terminals_unless_asked_otherwise(mode, tty, term, live):
    assert wants_live(Tty() if tty else io.StringIO(), mode, {"TERM": term}) is live


def test_force_color_does_not_animate_into_a_pipe():
    assert not wants_live(io.StringIO(), "auto", {"TERM": "xterm", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})


@pytest.fixture
def foreground(monkeypatch):
    """foreground(False): another process group has the terminal."""

    def put(ours: bool) -> None:
        monkeypatch.setattr("os.tcgetpgrp", lambda _: os.getpgrp() + (not ours))

    monkeypatch.setattr(Tty, "fileno", lambda _: 2, raising=False)
    return put


def test_a_job_in_the_background_draws_nothing_over_the_shells_prompt(foreground):
    for ours in (True, False):
        foreground(ours)
        assert wants_live(Tty(), "auto", {"TERM": "xterm"}) is ours
        assert wants_live(Tty(), "always", {"TERM": "xterm"})


def test_a_screen_goes_on_when_its_process_comes_to_the_foreground(foreground):
    """After Ctrl-Z, `bg` and `fg`."""
    out = Tty()
    foreground(ours=False)
    screen = Screen(out, size=lambda: (40, 10))
    screen.enter()
    screen.paint(Rows(["a"]))
    screen.leave()
    assert out.getvalue() == ""
    screen.enter()
    foreground(ours=True)
    screen.paint(Rows(["a"]))
    screen.leave()
    assert out.getvalue().startswith("\x1b[?1049h\x1b[?25l")
    assert out.getvalue().endswith("\x1b[?1049l\x1b[?25h")
    assert out.getvalue().count("\x1b[?1049h") == 1


def test_a_frame_that_was_being_made_at_a_ctrl_z_is_not_drawn_in_the_background(foreground):
    class Stopped(Rows):
        def lines(self, width, height=None):
            foreground(ours=False)
            screen.leave()
            screen.enter()
            return super().lines(width, height)

    foreground(ours=True)
    out = Tty()
    screen = Screen(out, size=lambda: (40, 10))
    screen.enter()
    screen.paint(Stopped(["a"]))
    assert out.getvalue().endswith("\x1b[?1049l\x1b[?25h")


def test_what_is_painted_replaces_what_was_and_leaves_nothing():
    screen, stream = terminal()
    out = io.StringIO()
    with Screen(out, size=lambda: (40, 10)) as live:
        out.write("")
        for rows in (["aaa", "bbb", "ccc"], ["x"], [f"row {i}" for i in range(9)], ["y", "", "z"]):
            live.paint(Rows(rows))
            stream.feed(out.getvalue())
            out.seek(0)
            out.truncate()
            assert shown(screen) == [row for row in rows if row]
            assert screen.cursor.hidden
    stream.feed(out.getvalue())
    assert (shown(screen), len(screen.history.top), screen.cursor.hidden) == ([], 0, False)
    assert (screen.cursor.x, screen.cursor.y) == (0, 0)


def test_a_row_wider_than_reckoned_is_cut_and_not_wrapped():
    screen, stream = terminal(columns=10)
    out = io.StringIO()
    Screen(out, size=lambda: (10, 10)).paint(Rows(["a" * 15, "b"]))
    stream.feed(out.getvalue())
    assert [len(row) for row in shown(screen)] == [10, 1]


class TwoBuffers(pyte.HistoryScreen):
    """A screen with an alternate buffer, as nearly all terminals have one."""

    normal = None

    def set_mode(self, *modes, **kwargs):
        super().set_mode(*modes, **kwargs)
        if modes == (1049,) and self.normal is None:
            self.normal = (dict(self.buffer), self.cursor.x, self.cursor.y)
            self.buffer.clear()

    def reset_mode(self, *modes, **kwargs):
        super().reset_mode(*modes, **kwargs)
        if modes == (1049,):
            rows, x, y = self.normal
            self.normal = None
            self.buffer.clear()
            self.buffer.update(rows)
            self.cursor.x, self.cursor.y = x, y


def test_rows_are_drawn_in_the_alternate_buffer_whose_rows_no_terminal_wraps_again():
    screen = TwoBuffers(40, 10, history=1000)
    stream = pyte.Stream(screen)
    out = io.StringIO()
    out.write("above\r\n")
    with Screen(out, size=lambda: (40, 10)) as live:
        live.paint(Rows(["a" * 39] * 9))
        stream.feed(painted := out.getvalue())
        assert shown(screen) == ["a" * 39] * 9
        assert screen.normal
    stream.feed(out.getvalue().removeprefix(painted))
    assert (shown(screen), screen.normal, screen.cursor.y) == (["above"], None, 1)
    assert out.getvalue().count("\x1b[?1049h") == out.getvalue().count("\x1b[?1049l") == 1
    screen, stream = terminal()
    stream.feed(out.getvalue())
    assert shown(screen) == ["above"], "a terminal that has one buffer gets its rows back as well"


@pytest.mark.parametrize("narrow", [10, 20, 60])
def test_on_a_terminal_of_one_buffer_that_does_not_wrap_again_nothing_above_is_erased(narrow):
    size = [40, 30]
    screen, stream = terminal(columns=40, rows=30)
    out = io.StringIO()
    live = Screen(out, size=lambda: tuple(size))
    live.paint(Rows(["a" * 39, "b" * 31]))
    stream.feed("above\r\n" + out.getvalue())
    screen.resize(columns=narrow)
    size[0] = narrow
    out.seek(0)
    out.truncate()
    live.paint(Rows(["new"]))
    stream.feed(out.getvalue())
    assert shown(screen) == ["above", "new"]


def test_a_screen_that_cannot_be_entered_is_left():
    class Interrupting(io.StringIO):
        def flush(self):
            if "\x1b[?1049l" not in self.getvalue():
                raise KeyboardInterrupt

    out = Interrupting()
    with pytest.raises(KeyboardInterrupt), Screen(out, size=lambda: (40, 10)):
        pass
    assert out.getvalue().endswith("\x1b[?1049l\x1b[?25h")


def test_the_size_is_the_terminals_and_not_the_environments(monkeypatch):
    monkeypatch.setenv("COLUMNS", "11")
    master, slave = pty.openpty()
    with os.fdopen(master), os.fdopen(slave, "w") as out:
        assert size_of(out) == FALLBACK  # a new pty says 0 by 0
        os.system(f"stty cols 33 rows 7 < {os.ttyname(slave)}")
        assert size_of(out) == (33, 7)
    assert size_of(io.StringIO()) == FALLBACK


def test_a_terminal_that_has_gone_away_is_no_error():
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    with Screen(Gone(), size=lambda: (40, 10)) as live:
        live.paint(Rows(["a"]))


@pytest.mark.parametrize("rows", [["a" * 39], ["a" * 39] * 9])
def test_an_echoed_control_c_wraps_nothing(rows):
    screen, stream = terminal()
    out = io.StringIO()
    with Screen(out, size=lambda: (40, 10)) as live:
        live.paint(Rows(rows))
        out.write("^C")
    stream.feed(out.getvalue())
    assert (shown(screen), len(screen.history.top)) == ([], 0)


class Hit(io.StringIO):
    """Ctrl-C comes in the middle of the next write, once it is armed."""

    armed = False

    def write(self, text):
        if self.armed:
            self.armed = False
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


@pytest.mark.parametrize("moment", ["drawing", "writing", "leaving"])
@pytest.mark.parametrize("before", [[], ["a"], ["a"] * 8])
def test_ctrl_c_in_the_middle_of_a_frame_erases_the_frame_and_nothing_above(moment, before):
    screen, stream = terminal(rows=14)
    out = Hit()
    out.write("above\r\n")

    class Drawing(Rows):
        def lines(self, width, height=None):
            if moment == "drawing":
                signal.raise_signal(signal.SIGINT)
            return super().lines(width, height)

    def run():
        with Screen(out, size=lambda: (40, 14)) as live:
            if before:
                live.paint(Rows(before))
            out.armed = moment != "drawing"
            if moment != "leaving":
                live.paint(Drawing([f"row {i}" for i in range(6)]))

    with pytest.raises(KeyboardInterrupt):
        run()
    stream.feed(out.getvalue())
    assert (shown(screen), screen.cursor.y, screen.cursor.hidden) == (["above"], 1, False)


@pytest.mark.parametrize(("size", "given"), [((40, 10), (39, 10)), ((1, 1), (1, 1)), ((2, 3), (1, 3))])
def test_the_last_column_stays_free_and_the_size_is_asked_for_every_frame(size, given):
    sizes, seen = [(80, 24), size], []

    class Sized:
        def lines(self, width, height=None):
            seen.append((width, height))
            return []

    live = Screen(io.StringIO(), size=lambda: sizes[len(seen)] if len(seen) < 2 else size)
    live.paint(Sized())
    live.paint(Sized())
    assert seen == [(79, 24), given]


def test_a_frame_is_one_write_between_the_marks_of_an_update():
    class Writes(io.StringIO):
        def __init__(self):
            super().__init__()
            self.parts = []

        def write(self, text):
            self.parts.append(text)
            return super().write(text)

    out = Writes()
    Screen(out, size=lambda: (40, 10)).paint(Rows(["a", "b"]))
    (frame,) = out.parts
    assert frame.startswith("\x1b[?2026h\x1b[?7l")
    assert frame.endswith("\x1b[?7h\x1b[?2026l")
