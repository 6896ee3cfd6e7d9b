"""Traces as files: small, read in bounds, and told in one line where they are damaged."""

from __future__ import annotations

import lzma
import random
import runpy
import tracemalloc
from pathlib import Path

import pytest

from diffucli.errors import UsageError
from diffucli.events import Resized, Started, Stepped, fold
from diffucli.trace import file
from diffucli.trace.form import Reader

damaged = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "scripts" / "traces.py"))["damaged"]


def saved(tmp_path, data: bytes):
    path = tmp_path / "run"
    path.write_bytes(data)
    return path


def test_a_trace_is_the_same_compressed_and_plain(tmp_path, a_run, lines_of):
    lines = lines_of(a_run(1))
    for data in (b"".join(lines), file.compressed(lines), lzma.compress(b"".join(lines))):
        trace = file.load(saved(tmp_path, data))
        assert fold(trace.takes[0].of(0)) == a_run(1)[-1].tokens
        assert trace.ending is not None


def test_a_token_takes_about_ten_bytes(a_run, lines_of):
    events = a_run(5, length=2000, resizes=False)
    committed = sum(len(each.tokens) for each in events if isinstance(each, Stepped))
    assert len(file.compressed(lines_of(events))) / committed < 14, "random positions and scores; runs take half of it"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "no line of a trace"),
        (b'{"schema":"diffu.trace/9"}\n', "a newer diffu wrote this trace"),
        (b'{"schema":"diffu.trace/1"}\n{"event":"finished"', "is cut off in line 2"),
        (b'{"schema":"diffu.trace/1"}\n{"event":"pieces","of":{}}\n{"event":"finished","reason":"end"}\n', "line 3"),
        (file.MAGIC, "is cut off"),
        (file.MAGIC + b"\0" * 40, "is damaged"),
        (lzma.compress(b'{"schema":"diffu.trace/1"}\n') + b"x", "behind the trace"),
        (lzma.compress(b"x" * 40_000_000), "too long"),
        (lzma.compress(b'{"schema":"diffu.trace/1"}\n' * 300_000), "line 2"),
        (lzma.compress(b"{}\n", preset=9), "is damaged"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_a_line(tmp_path, data, message):
    with pytest.raises(UsageError) as caught:
        file.load(saved(tmp_path, data))
    assert message in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_folder_and_a_missing_file_are_told(tmp_path):
    with pytest.raises(UsageError, match=r"is not a regular file|Is a directory"):
        file.load(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        file.load(tmp_path / "none")


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_raise_one_line_and_take_little_memory(seed, tmp_path, a_run, lines_of):
    data = damaged(random.Random(seed), lines_of(a_run(seed)))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as caught:
            file.load(saved(tmp_path, data))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in caught.value.message


def text(events, pieces=lambda token: bytes([token])):
    reader = Reader("run")
    reader.pieces = {token: pieces(token) for token in range(256)}
    return file.with_holes(events, reader)


def test_masks_become_holes_that_fill_takes():
    start = Started((*b"a = ", 900, 900, *b"+", 900, *b"\n", 900, 900), 900, ((4, 11),))
    assert text([start]) == "a = ???2+???1\n???"
    assert text([start, Stepped(1, (4, 5), (49, 50), (), (4, 11), 3, 1, 0)]) == "a = 12+???1\n???"


def test_what_stands_behind_the_end_and_outside_of_the_shown_part_is_no_text():
    start = Started((65, 66, 900, 5, 900, 900, 67), 900, ((2, 6),), (1, 6), frozenset({5}))
    assert text([start]) == "B???1"


def test_the_shown_part_moves_with_what_is_inserted():
    start = Started((65, 900, 66, 67), 900, ((1, 2),), (1, 3))
    assert text([start, Resized(1, 2, ((1, 4),), 3)]) == "???3B"
    assert text([start, Resized(1, -1, ((1, 1),), 0)]) == "B"


def test_a_trace_of_the_first_schema_stays_readable():
    trace = file.load(Path(__file__).parents[1] / "data" / "traces" / "schema-1.jsonl.xz")
    (take,) = trace.takes
    assert (trace.header["command"], take.job.file) == ("fill", "a.py")
    canvas = b"".join(map(trace.reader.piece, fold(take.of(0)))).decode()
    assert "return sum(xs) / len(xs)" in canvas
    assert canvas.split() == trace.ending["files"][0]["text"].split()
