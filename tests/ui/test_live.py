"""Whole runs, as a terminal sees them: pyte is fed with every byte."""

import io
import threading
from types import SimpleNamespace

import pyte
import pytest

from diffucli.errors import UsageError
from diffucli.ui.frame import Frame, View
from diffucli.ui.live import Pace, play, pull, show
from diffucli.ui.terminal import Screen


class Tmux(pyte.HistoryScreen):
    """Clearing all of the screen saves what stood on it to the history first."""

    def erase_in_display(self, how=0, *args, **kwargs):
        if how == 2 or (how == 0 and (self.cursor.x, self.cursor.y) == (0, 0)):
            self.history.top.extend(row for row in self.display if row.strip())
        super().erase_in_display(how, *args, **kwargs)


class Terminal(io.StringIO):
    """Feeds what is written to a pyte screen and keeps what it looked like at every update."""

    def __init__(self, columns=60, rows=12, encoding="utf-8"):
        super().__init__()
        self.screen = Tmux(columns, rows, history=1000)
        self.stream = pyte.Stream(self.screen)
        self.seen = []
        self.fed = 0
        self.code = encoding

    @property
    def encoding(self):
        return self.code

    def isatty(self):
        return True

    def flush(self):
        sent = self.getvalue()[self.fed :]
        sent.encode(self.code or "ascii")
        self.stream.feed(sent)
        self.seen.append((sent, self.rows()))
        self.fed += len(sent)

    def rows(self):
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def frames(self):
        return [rows for sent, rows in self.seen if "\x1b[?2026h" in sent]

    def pristine(self):
        screen = self.screen
        return (self.rows(), len(screen.history.top), screen.cursor.hidden, screen.cursor.y) == ([], 0, False, 0)


@pytest.fixture
def watch():
    def run(story, terminal, clock=None, fps=20, **view):
        ticks = iter(range(1_000_000))
        pace = Pace(fps, clock or (lambda: float(next(ticks))), share=float("inf"))
        frame = Frame(story.pieces, View(**view), encoding=terminal.encoding)
        size = (terminal.screen.columns, terminal.screen.lines)
        return play(story.events(), frame, Screen(terminal, size=lambda: size), pace=pace)

    return run


def test_frames_are_as_rare_as_they_are_slow_to_draw():
    now, due = 0.0, []
    pace = Pace(20, lambda: now)
    while now < 0.45:
        if pace.due():
            due.append(now)
            now += 0.004
            pace.done()
        now += 0.001
    assert due == pytest.approx([0, 0.05, 0.15, 0.25, 0.35], abs=0.01), "4 ms are 4 % of 100 ms"


def test_frames_that_are_very_slow_still_come_five_times_a_second():
    ticks = iter([0.0, 0.1, 0.2, 0.29, 0.31])
    pace = Pace(20, lambda: next(ticks))
    assert pace.due()
    pace.done()
    assert pace.due(), "what the first one took says nothing"
    pace.done()
    assert not pace.due()
    assert pace.due()


def test_a_run_shows_masks_then_code_then_nothing(story, watch):
    terminal = Terminal()
    watch(story("def", " f", "():", "\n", "  pass"), terminal)
    frames = terminal.frames()
    assert frames[0][0] == "░░░░░"
    assert frames[2][0] == "def f░░░"
    assert frames[-1][:2] == ["def f():", "  pass"]
    assert terminal.pristine()


@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (20, 2), (40, 12), (90, 30), (7, 4), (1, 1)])
def test_no_size_leaves_a_trace_in_the_scrollback(story_of_lines, watch, columns, rows):
    terminal = Terminal(columns, rows)
    watch(story_of_lines, terminal)
    assert terminal.pristine()
    assert len(terminal.frames()) == 50


def test_what_stood_above_stays(story_of_lines, watch):
    terminal = Terminal(40, 12)
    terminal.write("$ diffu gen\r\n")
    terminal.flush()
    watch(story_of_lines, terminal)
    history = ["".join(row[x].data for x in sorted(row)).rstrip() for row in terminal.screen.history.top]
    assert [row for row in history + terminal.rows() if row] == ["$ diffu gen"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_terminals_without_unicode_are_sent_what_they_can_hold(story, watch, encoding):
    terminal = Terminal(encoding=encoding)
    watch(story("日", "é", "\x1b[1m"), terminal, title="f\u00fcll")
    assert terminal.frames()[0][0] == "___"
    assert terminal.pristine()


def test_no_escape_code_of_the_model_reaches_the_terminal(story, watch):
    terminal = Terminal()
    watch(story("\x1b[31m", "\x1b", "]0;owned\x07", "\x1b[?25h", "\u009b31m", "\x08\r"), terminal, title="\x1b[31m")
    sent = terminal.getvalue()
    assert "\x1b[31m" not in sent
    assert "\x1b]0;" not in sent
    assert "\x07" not in sent
    assert "\x9b" not in sent
    assert sent.count("\x1b[?25h") == 1
    assert terminal.frames()[-1][0] == "␛[31m␛]0;owned␇␛[?25h\\x9b31m␈␍"


def test_no_color_is_honoured_and_masks_and_commits_still_differ(story, watch, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    watch(story("def", " f"), terminal)
    colours = {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()}
    assert colours <= {"default"}
    assert not any(f"\x1b[{code}" in terminal.getvalue() for code in ("3", "1;3", "9", "38;"))
    assert "\x1b[1;7mdef" in terminal.getvalue()
    assert "░" in terminal.getvalue()


def test_colours_are_sent_where_they_are_wanted(story, watch, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    watch(story("def", " f"), terminal)
    assert "\x1b[1;7;93mdef" in terminal.getvalue()


@pytest.mark.parametrize("fps", [1, 7, 20])
def test_frames_are_capped_and_dropped_never_queued(story_of_lines, watch, fps):
    """48 steps in 1.44 s of an injected clock: at most 1 + 1.44 fps frames, and the last."""
    now = 0.0

    def events():
        nonlocal now
        for event in story_of_lines.events():
            yield event
            now += 0.03

    terminal = Terminal()
    watch(SimpleNamespace(events=events, pieces=story_of_lines.pieces), terminal, lambda: now, fps)
    assert 1.44 * fps / 2 <= len(terminal.frames()) <= 1 + 1.5 * fps + 1


def test_the_first_and_the_last_frame_are_drawn_however_fast_the_run(story, watch):
    terminal = Terminal()
    watch(story("a", "b", "c"), terminal, lambda: 0.0)
    assert [rows[0] for rows in terminal.frames()] == ["░░░", "abc"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_terminal_clean_and_the_events_closed(story, error):
    terminal, closed = Terminal(), []
    terminal.write("above\r\n")

    def events():
        try:
            yield from story("a", "b").until(1)
            assert terminal.rows()[:2] == ["above", "░░"]
            assert terminal.screen.cursor.hidden
            raise error
        finally:
            closed.append(True)

    with pytest.raises(error):
        show(events(), story("a", "b").pieces, view=View(), out=terminal)
    assert (terminal.rows(), terminal.screen.cursor.y, terminal.screen.cursor.hidden) == (["above"], 1, False)
    assert closed == [True]


def test_pieces_that_fail_leave_the_terminal_clean_and_the_events_closed(story):
    terminal, closed = Terminal(), []

    def events():
        try:
            yield from story("a", "b").events()
        finally:
            closed.append(True)

    def pieces(token):
        assert terminal.frames()[0][0] == "░░"
        return bytes(1 // 0)

    running = events()  # held, so that the garbage collector is not what closes it
    with pytest.raises(ZeroDivisionError):
        show(running, pieces, view=View(), out=terminal)
    assert terminal.pristine()
    assert closed == [True]


def test_a_terminal_that_cannot_be_entered_closes_the_events(story):
    closed = []

    def events():
        try:
            yield from story("a", "b").events()
        finally:
            closed.append(True)

    class Broken(Terminal):
        def flush(self):
            raise KeyboardInterrupt

    running = events()
    next(running)
    with pytest.raises(KeyboardInterrupt):
        show(running, story("a", "b").pieces, view=View(), out=Broken())
    assert closed == [True]


def test_show_draws_on_the_stream_it_is_given_in_its_encoding(story, capsys):
    tale, terminal, plain = story("é", "b"), Terminal(), Terminal(encoding="ascii")
    show(tale.events(), tale.pieces, view=View(), out=terminal)
    show(tale.events(), tale.pieces, view=View(), out=plain)
    assert [frames[0][0] for frames in (terminal.frames(), plain.frames())] == ["░░", "__"]
    assert [frames[-1][0] for frames in (terminal.frames(), plain.frames())] == ["éb", "\\xe9b"]
    assert capsys.readouterr() == ("", "")


def test_show_draws_on_stderr_if_no_stream_is_given(story, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    show(story("a").events(), story("a").pieces, view=View("text", "title"))
    assert terminal.frames()[-1][0] == "a"
    assert "title" in terminal.frames()[-1][1]


def test_a_stream_of_unknown_encoding_is_sent_ascii(story):
    terminal = Terminal(encoding=None)
    show(story("é").events(), story("é").pieces, view=View(), out=terminal)
    assert terminal.getvalue().isascii()


def test_every_row_is_as_wide_as_the_terminal_but_for_its_last_column(story, watch):
    terminal = Terminal(columns=30)
    watch(story("x" * 58), terminal)
    assert terminal.frames()[-1][:2] == ["x" * 29] * 2


def test_a_second_canvas_takes_the_place_of_the_first_and_leaves_no_row_behind(story, watch):
    """A run of thirty rows, then, as for a retry, one of two."""
    long, short = story(*(f"row {i}\n" for i in range(30))), story("one\n", "two")

    def events():
        yield from long.events()
        yield from short.events()

    terminal = Terminal(40, 12)
    watch(SimpleNamespace(events=events, pieces=lambda token: b"x\n"), terminal)
    frames = terminal.frames()
    assert len(frames) == 32 + 4
    assert len(frames[31]) == 11
    assert frames[32][0] == "░░"
    assert len(frames[32]) == 2
    assert all(rows for rows in frames), "the view is never empty in between"
    assert terminal.pristine()


def test_show_and_pull_return_what_the_events_return(story):
    tale = story("a", "b")
    assert show(tale.events(), tale.pieces, view=View(), out=Terminal()) == "done"
    assert pull(tale.events()) == "done"


def test_show_works_outside_the_main_thread_where_signals_cannot_be_caught(story):
    tale, results = story("a"), []
    thread = threading.Thread(
        target=lambda: results.append(show(tale.events(), tale.pieces, view=View(), out=Terminal()))
    )
    thread.start()
    thread.join(10)
    assert results == ["done"]


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_an_impossible_frame_rate_is_the_users_error(story, fps):
    events, terminal = story("a").events(), Terminal()
    with pytest.raises(UsageError, match="frames a second") as refusal:
        show(events, story("a").pieces, view=View(), out=terminal, fps=fps)
    assert refusal.value.hint == "--fps takes a number above 0"
    assert terminal.getvalue() == ""
    assert list(events) == [], "they are closed"


def test_pull_runs_to_the_end_draws_nothing_and_closes(story, capsys):
    seen = []

    def events():
        try:
            yield from story("a", "b").events()
            seen.append("end")
        finally:
            seen.append("closed")

    pull(events())
    assert capsys.readouterr() == ("", "")
    assert seen == ["end", "closed"]


def test_pull_closes_the_events_when_it_is_interrupted(story):
    """An error that is raised in the events themselves ends them; one from outside does not."""
    seen = []

    def events():
        try:
            yield from story("a", "b").events()
        finally:
            seen.append("closed")

    class Interrupted:
        def __init__(self, events):
            self.close = events.close

        def __next__(self):
            raise KeyboardInterrupt

    running = events()
    next(running)
    with pytest.raises(KeyboardInterrupt):
        pull(Interrupted(running))
    assert seen == ["closed"]
