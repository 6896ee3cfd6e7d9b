"""The form of a trace: what a run told is what a reader tells, and anything else is refused in a line."""

from __future__ import annotations

import json
import random
from contextlib import suppress

import pytest

from diffucli.errors import UsageError
from diffucli.events import Beside, Finished, Started, Stepped, fold
from diffucli.trace.form import MAX_LINE, SCHEMA, LineWriter, Reader, to_json


def almost(event):
    """An event without what is rounded on the way."""
    if not isinstance(event, Stepped):
        return event
    return (event.step, event.positions, event.tokens, event.window, event.masks_left, event.remasked)


@pytest.mark.parametrize("seed", range(12))
def test_events_are_the_same_after_writing_and_reading(seed, a_run, lines_of, parsed):
    events = a_run(seed)
    (take,) = parsed(lines_of(events)).takes
    got = take.of(0)
    assert fold(got) == fold(events) == events[-1].tokens
    assert [almost(each) for each in got[:-1]] == [almost(each) for each in events[:-1]]
    assert (got[-1].reason, got[-1].holes) == (events[-1].reason, events[-1].holes)
    for one, other in zip(got, events, strict=True):
        if isinstance(one, Stepped | Finished):
            assert (one.seconds, one.nfe) == pytest.approx((other.seconds, other.nfe), abs=1e-3)
        if isinstance(one, Stepped):
            assert one.scores == pytest.approx(other.scores, abs=2e-3)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_a_reader_has_the_bytes_of_every_token_and_needs_no_tokenizer(a_run, lines_of, parsed):
    trace = parsed(lines_of(a_run(3, length=400)))
    assert trace.reader.piece(300) + trace.reader.piece(301) == "é".encode()
    assert trace.reader.piece(302) == b"</script>"


def test_candidates_are_told_apart(beside, a_run, lines_of, parsed):
    (take,) = parsed(lines_of(beside)).takes
    assert fold(take.of(0)) == a_run(1)[-1].tokens
    assert fold(take.of(1)) == a_run(2)[-1].tokens
    assert take.of(2) == []
    assert {each.number for each in take.events if isinstance(each, Beside)} == {1}


def test_several_files_are_takes_of_their_own(a_run, lines_of, parsed):
    trace = parsed(lines_of(a_run(1), a_run(2)))
    assert [take.job.file for take in trace.takes] == ["0.py", "1.py"]
    assert [fold(take.of(0)) for take in trace.takes] == [a_run(1)[-1].tokens, a_run(2)[-1].tokens]


def test_a_run_that_was_interrupted_has_no_ending(a_run, lines_of, parsed):
    assert parsed(lines_of(a_run(1)[:5], ending=None)).ending is None
    assert parsed(lines_of(a_run(1))).ending["text"] == "x = 1\n"


def test_every_line_is_ascii_and_no_line_holds_what_is_as_expected(a_run, lines_of):
    lines = lines_of(a_run(4))
    assert all(line.isascii() and line.count(b"\n") == 1 for line in lines)
    steps = [values for values in map(json.loads, lines) if values.get("event") == "stepped"]
    assert not any("step" in values for values in steps)
    assert sum("scores" in values for values in steps) < len(steps)


def test_a_score_that_no_number_holds_is_written_as_the_worst():
    step = Stepped(1, (0,), (5,), (float("-inf"),), (0, 1), 0, 1.0, 0.0, (), (float("nan"),))
    writer = LineWriter(lambda _: b"x")
    lines = [*writer.lines(Started((9,), 9, ((0, 1),))), *writer.lines(step)]
    assert (lines[-1]["logprobs"], lines[-1]["scores"]) == ([-999], [-999])
    assert all(to_json(line) for line in lines)


def head() -> Reader:
    reader = Reader("run")
    reader.take(to_json({"schema": SCHEMA}))
    reader.take(b'{"event":"pieces","of":{"1":"a"}}')
    reader.take(b'{"event":"started","tokens":[1,7,7,1],"mask":7,"holes":[[1,3]]}')
    return reader


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b'{"event":"dance"}',
        b"{}",
        b'{"event":"stepped"}',
        b'{"event":"stepped","positions":[4],"tokens":[1],"logprobs":[0]}',
        b'{"event":"stepped","positions":[-1],"tokens":[1],"logprobs":[0]}',
        b'{"event":"stepped","positions":[1],"tokens":[2],"logprobs":[0]}',
        b'{"event":"stepped","positions":[1],"tokens":[1,1],"logprobs":[0]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[1e999]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[900]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":["0"]}',
        b'{"event":"stepped","positions":[true],"tokens":[1],"logprobs":[0]}',
        b'{"event":"stepped","positions":[1.0],"tokens":[1],"logprobs":[0]}',
        b'{"event":"stepped","positions":"1","tokens":[1],"logprobs":[0]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[0],"ms":-5}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[0],"nfe":NaN}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[0],"window":[3,1]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[0],"window":[0,9]}',
        b'{"event":"stepped","positions":[1],"tokens":[1],"logprobs":[0],"sample":4}',
        b'{"event":"resized","position":1,"delta":1000000000,"holes":[[1,3]],"left":1}',
        b'{"event":"resized","position":1,"delta":' + b"9" * 5000 + b',"holes":[[1,3]],"left":1}',
        b'{"event":"resized","position":3,"delta":-2,"holes":[[1,3]],"left":1}',
        b'{"event":"resized","position":1,"delta":1,"holes":[[1,9]],"left":1}',
        b'{"event":"resized","position":1,"delta":0,"holes":[[1,3]],"left":1}',
        b'{"event":"finished","reason":"boredom","holes":[]}',
        b'{"event":"finished","reason":["end"],"holes":[]}',
        b'{"event":"started","tokens":[1,99],"mask":7,"holes":[]}',
        b'{"event":"started","tokens":[1],"mask":7,"holes":[[0,2]]}',
        b'{"event":"started","tokens":' + b"[" * 4000 + b"}",
        b'{"event":"pieces","of":{"x":"a"}}',
        b'{"event":"pieces","of":{"1":"\\u20ac"}}',
        b'{"event":"pieces","of":[1]}',
        b'{"event":"job","language":1,"file":null}',
        b'{"event":"job","language":"c"}',
        b"\xff\xfe",
        b'"' + b"x" * MAX_LINE + b'"',
    ],
)
def test_what_is_no_line_of_a_trace_is_refused_with_its_number(line):
    with pytest.raises(UsageError, match=r"^run, line 4: no line of a trace \(.{1,100}\)$"):
        head().take(line)


def test_a_newer_form_and_another_file_are_told_apart():
    with pytest.raises(UsageError, match=r"^run: a newer diffu wrote this trace \(diffu.trace/2\)$"):
        Reader("run").take(b'{"schema":"diffu.trace/2"}')
    with pytest.raises(UsageError, match=r"^run is no trace$"):
        Reader("run").take(b'{"schema":"diffu.run/1"}')


@pytest.mark.parametrize("seed", range(30))
def test_damaged_lines_raise_nothing_else(seed, a_run, lines_of, parsed):
    draw = random.Random(seed)
    data = bytearray(b"".join(lines_of(a_run(seed))))
    for _ in range(draw.choice((1, 3, 20))):
        at = draw.randrange(len(data))
        data[at : at + draw.choice((0, 1, 5))] = draw.choice(
            (b"9", b"-", b"[", b"}", b"1e9", b"\n", bytes([draw.randrange(256)]))
        )
    with suppress(UsageError):
        parsed(bytes(data).splitlines(keepends=True))
