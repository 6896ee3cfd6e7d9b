"""Playing a trace: every step forth and back, with the canvas as the live view showed it."""

from __future__ import annotations

import pytest

from diffucli.trace.form import TraceJob
from diffucli.trace.player import Player
from diffucli.ui.frame import Frame, View


def text(frame) -> str:
    return frame.sheet().text


def piece(token: int) -> bytes:
    return bytes([token]) if token < 256 else b"<%d>" % token


@pytest.fixture
def player(a_run):
    made = Player(piece)
    for number in range(2):
        made.add(TraceJob("python", f"{number}.py"))
        for event in a_run(number):
            made.add(event)
    return made


def test_each_step_looks_as_the_live_view_did(a_run):
    player, live = Player(piece), Frame(piece, View())
    for event in a_run(3):
        player.add(event)
        live.take(event)
        player.go(player.last)
        assert text(player.frame) == text(live)


def test_going_back_shows_what_was_there_before(player):
    seen = []
    for step in range(player.last + 1):
        player.go(step)
        seen.append((player.at, text(player.frame), player.frame.lines(60, 12)))
    for step in reversed(range(player.last + 1)):
        player.go(step)
        assert (player.at, text(player.frame)) == seen[step][:2]
    player.go(10_000)
    assert text(player.frame) == seen[-1][1]


def test_the_frames_are_all_steps_in_order_of_time(player):
    times = [time for time, _ in player.frames()]
    assert times == sorted(times) == player.times
    assert len(times) == player.last + 1
    assert [player.step_at(time) for time in (-1.0, times[-1])] == [-1, player.last]


def test_the_footer_names_the_file_and_the_keys(a_run):
    player = Player(piece, hint="q ends")
    player.add(TraceJob("python", "app.py"))
    for event in a_run(0):
        player.add(event)
    player.go(0)
    footer = "".join(segment.text for segment in player.frame.lines(100, 20)[-1])
    assert "app.py" in footer
    assert footer.endswith("q ends")


def test_another_candidate_is_another_film(beside, a_run):
    player = Player(piece, candidate=1)
    for event in beside:
        player.add(event)
    alone = Player(piece)
    for event in a_run(2):
        alone.add(event)
    assert player.last == alone.last
    player.go(player.last)
    alone.go(alone.last)
    assert text(player.frame) == text(alone.frame)
