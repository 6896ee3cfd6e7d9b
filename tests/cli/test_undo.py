"""`diffu undo`: what was there before a write comes back, by its id or the last one."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from diffucli.cli import destination, undo
from diffucli.cli.report import Report
from diffucli.edit import source
from diffucli.edit.patch import Change
from diffucli.errors import UsageError


def written(text: bytes = b"new\n") -> str:
    """The id of a write to f.py, which held "old" before."""
    Path("f.py").write_bytes(b"old\n")
    change = Change.of_source(source.read(Path("f.py")), text)
    (entry,) = destination.write([(Path("f.py"), change, text)], Report(quiet=True))
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
    destination.write([(Path("g.py"), Change.of_path(Path("g.py"), b"new\n"), b"new\n")], Report(quiet=True))
    assert diffu("undo").err.startswith("removed ")
    assert not Path("g.py").exists()


def test_the_list_has_a_row_for_each_write_newest_first(diffu):
    first, second = written(), written(b"newer\n")
    rows = diffu("undo", "--list").out.decode().splitlines()
    assert [row.split()[0] for row in rows] == [second, first]
    assert all(row.endswith(str(Path("f.py").resolve())) for row in rows)
    told = json.loads(diffu("undo", "--list", "--json").out)
    assert [entry["id"] for entry in told["entries"]] == [second, first]


def several() -> str:
    """The id of a write of three files, of which new.py is new."""
    for name in ("a.py", "b.py"):
        Path(name).write_bytes(b"old\n")
    changes = [(Path(name), Change.of_path(Path(name), b"new\n"), b"new\n") for name in ("a.py", "b.py", "new.py")]
    (entry,) = {*destination.write(changes, Report(quiet=True))}
    assert entry is not None
    return entry


def test_the_files_of_one_command_have_one_id_and_are_undone_together(diffu):
    entry = several()
    done = diffu("undo")
    assert [line.split()[0] for line in done.lines] == ["restored", "restored", "removed"]
    assert all(line.endswith(f"(redo with: diffu undo {entry} --redo)") for line in done.lines)
    assert [Path(name).exists() and Path(name).read_bytes() for name in ("a.py", "b.py", "new.py")] == [
        *2 * [b"old\n"],
        False,
    ]
    rows = diffu("undo", "--list").out.decode().splitlines()
    assert [row.split()[3] for row in rows] == 3 * ["undone"]


def test_a_file_is_undone_alone_by_its_name(diffu):
    several()
    assert diffu("undo", "b.py").err.startswith(f"restored {Path('b.py').resolve()}")
    assert [Path(name).read_bytes() for name in ("a.py", "b.py", "new.py")] == [b"new\n", b"old\n", b"new\n"]
    told = json.loads(diffu("undo", "--redo", "b.py", "--json").out)
    assert [(Path(each["path"]).name, each["state"], each["undone"]) for each in told["entries"]] == [
        ("b.py", "written", None)
    ]


def test_an_empty_name_undoes_nothing(diffu):
    """As `diffu undo "$UNSET"` gives it."""
    written()
    assert diffu("undo", "").code == 2
    assert Path("f.py").read_bytes() == b"new\n"


def test_undo_takes_writes_below_the_repository_or_else_the_folder(diffu, monkeypatch, tmp_path):
    entry = written()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with monkeypatch.context() as patched:
        patched.chdir(elsewhere)
        done = diffu("undo")
        assert done.code == 2
        assert f"f.py: diffu undo {entry})" in done.err
    Path(".git").mkdir()
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    assert diffu("undo").code == 0
    assert Path("../f.py").read_bytes() == b"old\n"


def test_a_write_that_cannot_be_undone_names_the_one_before_it(diffu):
    first = several()
    written()
    Path("f.py").write_bytes(b"mine\n")
    done = diffu("undo")
    assert done.code == 5
    assert len(done.lines) == 1
    assert f"; diffu undo {first} undoes the write of a.py, b.py, new.py before it)" in done.err
    assert Path("a.py").read_bytes() == b"new\n"


@pytest.mark.parametrize(("answer", "stays"), [("n", True), ("y", False), ("-y", False), ("--redo", True)])
def test_a_created_file_is_deleted_on_a_terminal_only_if_the_answer_is_yes(monkeypatch, answer, stays):
    several()
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(undo, "confirmed", lambda question: asked.append(question) or answer == "y")
    if answer == "--redo":
        undo.undo(yes=True)
    with suppress(UsageError):
        undo.undo(yes=answer == "-y", redo=answer == "--redo")
    assert Path("new.py").exists() is stays
    assert Path("a.py").read_bytes() == (b"new\n" if stays else b"old\n")
    question = f"Delete {Path('new.py').resolve()}, which diffu created?"
    assert asked == ([question] if answer in {"n", "y"} else [])


def test_an_interrupted_write_that_changed_nothing_is_what_the_next_undo_takes(diffu):
    """And not the write before it."""
    written()
    store = destination.undo_store(Report(quiet=True))
    Path("g.py").write_bytes(b"old\n")
    change = Change(Path("g.py").resolve(), b"old\n", b"new\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(store), "_settle", lambda *_: None)
        with store.recording([change]):
            pass
    done = diffu("undo")
    assert (done.code, len(done.lines)) == (0, 1)
    assert "g.py is as it was" in done.err
    assert Path("f.py").read_bytes() == b"new\n"
    assert diffu("undo").code == 0
    assert Path("f.py").read_bytes() == b"old\n"


def test_a_list_of_nothing_is_empty(diffu):
    assert diffu("undo", "--list").out == b""


def test_a_file_that_changed_since_is_left_alone_with_exit_5(diffu):
    written()
    Path("f.py").write_bytes(b"mine\n")
    done = diffu("undo", "--json")
    assert done.code == json.loads(done.out)["status"] == 5
    assert Path("f.py").read_bytes() == b"mine\n"


def test_force_restores_what_was_changed_or_deleted_since_and_can_be_undone(diffu):
    written()
    Path("f.py").write_bytes(b"mine\n")
    done = diffu("undo", "--force")
    assert (done.code, Path("f.py").read_bytes()) == (0, b"old\n")
    assert done.err.startswith(f"restored {Path('f.py').resolve()} (undo with: diffu undo ")
    assert diffu("undo").code == 0
    assert Path("f.py").read_bytes() == b"mine\n"
    Path("f.py").unlink()
    entry = json.loads(diffu("undo", "--list", "--json").out)["entries"][-1]["id"]
    assert json.loads(diffu("undo", entry, "--redo", "--force", "--json").out)["entries"][0]["state"] == "written"
    assert Path("f.py").read_bytes() == b"new\n"
    assert diffu("undo", "--force", "--list").code == 2
