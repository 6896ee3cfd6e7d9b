"""New text goes to one place; files are written all or none, and each write is told with its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffucli.cli.destination import Destination, require_target, write, write_output
from diffucli.cli.report import Report
from diffucli.edit import source
from diffucli.edit.patch import Change
from diffucli.errors import TargetChanged, UsageError, WriteFailed

TELLING, PATHS = Report(verbose=True), [Path("a.py"), Path("b.py")]


def changes(*paths: Path, new: bytes = b"new\n") -> list[tuple[Path, Change]]:
    """Changes of files that hold "old"."""
    for path in paths:
        path.write_bytes(b"old\n")
    return [(path, Change.of_source(source.read(path), new)) for path in paths]


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


def test_an_output_is_written_whatever_was_there():
    assert write_output(Path("new.py"), b"x\n", Report(quiet=True))
    assert write_output(Path("new.py"), b"y\n", Report(quiet=True))
    assert Path("new.py").read_bytes() == b"y\n"
    assert write_output(Path("new.py"), b"y\n", Report(quiet=True)) is None


def test_a_target_needs_a_folder_and_leave_to_write():
    require_target(Path("new.py"))
    with pytest.raises(UsageError, match="its folder does not exist") as refused:
        require_target(Path("no") / "new.py")
    assert refused.value.hint == f"mkdir -p {Path('no').resolve()}"
    Path("a.py").touch(0o444)
    with pytest.raises(WriteFailed, match="is read-only") as failed:
        require_target(Path("a.py"))
    assert failed.value.hint == "chmod u+w a.py, or write elsewhere with -o"


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
