"""Exports: recordings that a terminal plays to the same screen, pictures that are XML, text that is text."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pyte
import pytest

from diffucli.trace.export import LONGEST, MOST_SHOTS, STAYS, cast, seconds_of, svg, txt
from diffucli.trace.form import TraceJob
from diffucli.trace.player import Player

PIECES = {302: b"</script>", 303: "\u202e".encode(), 304: b"\x1b[2J", 300: b"\xc3", 301: b"\xa9"}


def player_of(events):
    player = Player(lambda token: PIECES.get(token, bytes([token]) if token < 256 else b""))
    player.add(TraceJob("python", "a.py"))
    for event in events:
        player.add(event)
    return player


@pytest.fixture
def player(a_run):
    return player_of(a_run(6))


def test_a_recording_plays_to_the_screen_of_the_last_step(player):
    header, *events = map(json.loads, cast(player, width=60, title="t").splitlines())
    assert (header["version"], header["term"]["cols"], header["title"]) == (3, 60, "t")
    assert all(interval >= 0 and kind in {"o", "x"} for interval, kind, _ in events)
    screen = pyte.Screen(60, header["term"]["rows"])
    stream = pyte.Stream(screen)
    for _, kind, data in events:
        if kind == "o":
            stream.feed(data)
    player.go(player.last)
    shown = ["".join(segment.text for segment in line).rstrip() for line in player.frame.lines(59)]
    assert [row.rstrip() for row in screen.display][: len(shown)] == shown


def test_intervals_are_those_of_the_run_within_bounds(player):
    waits = seconds_of(player, 1.0)
    assert len(waits) == player.last + 1
    assert waits[-1] == STAYS
    assert all(0 < wait <= LONGEST for wait in waits[:-1])
    assert max(seconds_of(player, 0.001)[:-1]) == LONGEST


def test_an_animated_picture_is_xml_without_a_script_and_not_endless(a_run):
    player = player_of(a_run(6, length=300, resizes=False))
    assert player.last > MOST_SHOTS
    picture = svg(player, width=70, title="</svg>\x1b")
    tree = ET.fromstring(picture)
    assert not [node for node in tree.iter() if node.tag.endswith("script")]
    assert "\x1b" not in picture
    changes = [node.attrib for node in tree.iter() if node.tag.endswith("animate")]
    assert changes
    assert {each["repeatCount"] for each in changes} == {"indefinite"}
    assert len({time for each in changes for time in each["keyTimes"].split(";")}) <= MOST_SHOTS


def test_text_has_every_step_and_nothing_that_steers(player):
    text = txt(player, width=60)
    assert text.count("masks left") + text.count("1 mask left") == player.last + 1
    assert not set(text) & {"\x1b", "\u202e"}
