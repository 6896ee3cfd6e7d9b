"""`diffu undo`: what was there before a write comes back, by its id or the last one."""

from __future__ import annotations

import json
from pathlib import Path

from diffucli.cli import destination
from diffucli.cli.report import Report
from diffucli.edit import source
from diffucli.edit.patch import Change


def written(text: bytes = b"new\n") -> str:
    """The id of a write to f.py, which held "old" before."""
    Path("f.py").write_bytes(b"old\n")
    change = Change.of_source(source.read(Path("f.py")), text)
    (entry,) = destination.write([(Path("f.py"), change)], Report(quiet=True))
    assert entry is not None
    return entry


def test_undo_restores_and_redo_writes_again(diffu):
    entry = written()
    done = diffu("undo")
    assert Path("f.py").read_bytes() == b"old\n"
    assert done.err == f"restored {Path('f.py').resolve()} (redo with: diffu undo {entry} --redo)\n"
    assert diffu("undo", "--redo").code == 0
    assert Path("f.py").read_bytes() == b"new\n"
    assert diffu("undo", entry, "-q").err == ""
    assert Path("f.py").read_bytes() == b"old\n"


def test_undoing_the_write_of_a_new_file_removes_it(diffu):
    destination.write([(Path("g.py"), Change.of_path(Path("g.py"), b"new\n"))], Report(quiet=True))
    assert diffu("undo").err.startswith("removed ")
    assert not Path("g.py").exists()


def test_the_list_has_a_row_for_each_write_newest_first(diffu):
    first, second = written(), written(b"newer\n")
    rows = diffu("undo", "--list").out.decode().splitlines()
    assert [row.split()[0] for row in rows] == [second, first]
    assert all(row.endswith(str(Path("f.py").resolve())) for row in rows)
    told = json.loads(diffu("undo", "--list", "--json").out)
    assert [entry["id"] for entry in told["entries"]] == [second, first]


def test_a_list_of_nothing_is_empty(diffu):
    assert diffu("undo", "--list").out == b""


def test_a_file_that_changed_since_is_left_alone_with_exit_5(diffu):
    written()
    Path("f.py").write_bytes(b"mine\n")
    done = diffu("undo", "--json")
    assert done.code == json.loads(done.out)["status"] == 5
    assert Path("f.py").read_bytes() == b"mine\n"
