"""New text goes to one place; files are written all or none, and each write is told with its id."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from diffucli.cli.destination import Destination, keeping, require_target, targets, write
from diffucli.cli.report import Report
from diffucli.edit import source
from diffucli.edit.patch import Change
from diffucli.errors import TargetChanged, UsageError, WriteFailed

TELLING, PATHS = Report(verbose=True), [Path("a.py"), Path("b.py")]


def changes(*paths: Path, new: bytes = b"new\n") -> list[tuple[Path, Change, bytes]]:
    """Changes of files that hold "old"."""
    for path in paths:
        path.write_bytes(b"old\n")
    return [(path, Change.of_source(source.read(path), new), new) for path in paths]


def test_each_file_that_was_written_is_told_with_its_id(capsys):
    first, second = write(changes(*PATHS), TELLING)
    assert [path.read_bytes() for path in PATHS] == [b"new\n"] * 2
    told = f"wrote a.py (undo with: diffu undo {first})\nwrote b.py (undo with: diffu undo {second})\n"
    assert capsys.readouterr().err == told


def test_a_file_that_has_the_content_already_has_no_id(capsys):
    assert write(changes(Path("a.py"), new=b"old\n"), TELLING) == [None]
    assert capsys.readouterr().err == "a.py is unchanged\n"


def test_nothing_is_written_or_told_if_one_file_has_changed(capsys):
    wanted = changes(*PATHS)
    Path("b.py").write_bytes(b"mine\n")
    with pytest.raises(TargetChanged):
        write(wanted, TELLING)
    assert [path.read_bytes() for path in PATHS] == [b"old\n", b"mine\n"]
    assert capsys.readouterr().err == ""


def test_an_output_is_written_over_what_was_there_before_the_run_but_over_nothing_that_came_since():
    """The run may take a minute, in which somebody saves a file of that name."""
    for old, new in ((None, b"x\n"), (b"x\n", b"y\n"), (b"y\n", b"y\n")):
        (target,) = targets([Path("new.py")], Report(quiet=True))
        assert target.old == old
        (undo,) = write([(Path("new.py"), target, new)], Report(quiet=True))
        assert Path("new.py").read_bytes() == new
        assert (undo is None) == (old == new)
    for path in (Path("new.py"), Path("other.py")):
        (target,) = targets([path], Report(quiet=True))
        path.write_bytes(b"mine\n")
        with pytest.raises(TargetChanged):
            write([(path, target, b"z\n")], Report(quiet=True))
        assert path.read_bytes() == b"mine\n"


def test_two_names_of_one_file_are_refused_before_the_run():
    Path("h1.py").write_bytes(b"old\n")
    Path("h2.py").hardlink_to("h1.py")
    with pytest.raises(UsageError, match=r"h1\.py and h2\.py are one file"):
        Destination(write=True).require([Path("h1.py"), Path("h2.py")], Report())


def test_a_state_folder_that_cannot_be_written_is_found_before_the_run(monkeypatch):
    Path("state").touch()
    monkeypatch.setenv("DIFFU_STATE", str(Path("state").absolute()))
    with pytest.raises(WriteFailed, match=r"the undo store .* cannot be written"):
        targets([Path("new.py")], Report())
    assert targets([], Report()) == [], "nothing is written, so no store is needed"


def test_what_cannot_be_written_is_kept_and_named():
    wanted = changes(*PATHS)
    Path("b.py").write_bytes(b"mine\n")
    with pytest.raises(TargetChanged) as refused, keeping((path, new) for path, _, new in wanted):
        write(wanted, TELLING)
    kept = Path(refused.value.message.rpartition(" ")[2])
    assert "; the new text is kept in " in refused.value.message
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {"1-a.py": b"new\n", "2-b.py": b"new\n"}
    assert kept.stat().st_mode & 0o077 == 0
    shutil.rmtree(kept)


def test_what_cannot_be_kept_either_is_shown(monkeypatch, capsys):
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: (_ for _ in ()).throw(FileNotFoundError("no folder")))
    with (
        pytest.raises(WriteFailed, match="disk; the new text is shown above"),
        keeping([(Path("a.py"), b"x\n\x1b[2J")]),
    ):
        raise WriteFailed("disk")
    assert capsys.readouterr().err == "x\n␛[2J\n"


def test_a_target_needs_a_folder_and_leave_to_write():
    require_target(Path("new.py"))
    with pytest.raises(UsageError, match="its folder does not exist") as refused:
        require_target(Path("no") / "new.py")
    assert refused.value.hint == f"mkdir -p {Path('no').resolve()}"
    Path("a.py").touch(0o444)
    with pytest.raises(WriteFailed, match="is read-only") as failed:
        require_target(Path("a.py"))
    assert failed.value.hint == "chmod u+w a.py, or write elsewhere with -o"


def test_what_an_attribute_forbids_is_not_said_to_be_a_permission(monkeypatch):
    """As chattr +i does, which a test may not."""
    monkeypatch.setattr("os.access", lambda *_: False)
    Path("a.py").touch()
    Path("folder").mkdir()
    for path in (Path("a.py"), Path("folder", "new.py")):
        with pytest.raises(WriteFailed, match="Operation not permitted") as failed:
            require_target(path)
        assert failed.value.hint.startswith("lsattr says")
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(WriteFailed, match="Permission denied") as failed:
        require_target(Path("a.py"))
    assert failed.value.hint == "check the permissions of the file and its folder"


@pytest.mark.parametrize(
    ("destination", "paths", "message"),
    [
        (Destination(write=True, diff=True), PATHS, "exclude each other"),
        (Destination(check=True, output=Path("o.py")), PATHS[:1], "exclude each other"),
        (Destination(write=True), [Path("-")], "-w cannot write stdin back"),
        (Destination(), PATHS, "several files do not fit into one output"),
        (Destination(output=Path("o.py")), PATHS, "several files do not fit into one output"),
    ],
)
def test_what_does_not_go_together_is_refused(destination, paths, message):
    with pytest.raises(UsageError, match=message):
        destination.require(paths, Report())


@pytest.mark.parametrize("destination", [Destination(write=True), Destination(diff=True), Destination(check=True)])
def test_several_files_go_into_themselves_a_patch_or_a_check(destination):
    destination.require(PATHS, Report())


def test_several_files_are_one_object_of_json_but_not_one_file():
    Destination().require(PATHS, Report(json=True))
    with pytest.raises(UsageError, match="several files"):
        Destination(output=Path("o.py")).require(PATHS, Report(json=True))
