"""Undo and redo."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from diffucli.edit import patch, source, undo
from diffucli.edit.patch import Change
from diffucli.edit.undo import UndoStore
from diffucli.errors import TargetChanged, UsageError, WriteFailed


@pytest.fixture
def kept(tmp_path):
    return UndoStore(tmp_path / "state" / "undo")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"0")
    return path


def written(kept, file, *versions):
    """The ids of writing one version after the other."""
    return [patch.create(file, version, store=kept).undo_id for version in versions]


def test_before_the_first_write_there_is_nothing(kept):
    assert kept.writes() == ()
    assert not kept.root.exists()


def test_an_entry_says_what_happened(kept, file):
    (write_id,) = written(kept, file, b"1")
    (entry,) = kept.writes()
    assert (entry.id, entry.path, entry.undone) == (write_id, file, None)
    assert kept.object_path(entry.before).read_bytes() == b"0"
    assert kept.object_path(entry.after).read_bytes() == b"1"
    assert len(write_id) == 4


def test_undo_walks_back_and_redo_walks_forth(kept, file):
    ids = written(kept, file, b"1", b"2", b"3")
    assert [entry.id for entry in kept.writes()] == ids[::-1]
    seen = []
    for step in (kept.undo, kept.undo, kept.redo, kept.undo, kept.undo, kept.redo, kept.redo, kept.redo):
        step()
        seen.append(file.read_bytes())
    assert seen == [b"2", b"1", b"2", b"1", b"0", b"1", b"2", b"3"]
    with pytest.raises(UsageError, match="nothing to redo"):
        kept.redo()


def test_a_write_can_be_undone_by_its_id(kept, tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"0")
    first, _ = written(kept, tmp_path / "a", b"1")[0], written(kept, tmp_path / "b", b"1")
    assert kept.undo(first).id == first
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"0", b"1")
    assert kept.redo(first).undone is None
    assert (tmp_path / "a").read_bytes() == b"1"


def test_nothing_to_undo_is_said(kept, file):
    with pytest.raises(UsageError, match="nothing to undo"):
        kept.undo()
    written(kept, file, b"1")
    kept.undo()
    with pytest.raises(UsageError, match="nothing to undo"):
        kept.undo()


def test_an_unknown_id_lists_the_recent_ones(kept, file):
    with pytest.raises(UsageError, match="no write 'nope'"):
        kept.undo("nope")
    ids = written(kept, file, *(b"%d" % number for number in range(1, 9)))
    with pytest.raises(UsageError) as refusal:
        kept.redo("../x")
    assert all(f"{write_id} (a.py)" in refusal.value.hint for write_id in ids[-5:])
    assert ids[0] not in refusal.value.hint


def test_undone_twice_or_redone_without_need_is_refused(kept, file):
    (write_id,) = written(kept, file, b"1")
    with pytest.raises(UsageError, match="is not undone"):
        kept.redo(write_id)
    kept.undo(write_id)
    with pytest.raises(UsageError, match="is undone already"):
        kept.undo(write_id)
    assert file.read_bytes() == b"0"


def test_a_file_that_was_created_is_deleted_and_made_again(kept, tmp_path):
    written(kept, tmp_path / "new.py", b"1")
    kept.undo()
    assert not (tmp_path / "new.py").exists()
    kept.redo()
    assert (tmp_path / "new.py").read_bytes() == b"1"


@pytest.mark.parametrize("theirs", [b"theirs", None])
def test_a_file_that_changed_since_is_left_alone(kept, file, theirs):
    (write_id,) = written(kept, file, b"1")
    file.unlink() if theirs is None else file.write_bytes(theirs)
    with pytest.raises(TargetChanged, match=f"changed since write {write_id}") as refusal:
        kept.undo()
    assert patch.content(file) == theirs
    assert Path(refusal.value.hint.rpartition(" ")[2]).read_bytes() == b"0"
    assert kept.writes()[0].undone is None


def test_a_new_file_in_the_place_of_a_deleted_one_is_left_alone(kept, tmp_path):
    written(kept, tmp_path / "new.py", b"1")
    kept.undo()
    (tmp_path / "new.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged):
        kept.redo()
    assert (tmp_path / "new.py").read_bytes() == b"theirs"


def test_a_created_file_that_changed_since_is_left_to_the_user(kept, tmp_path):
    written(kept, tmp_path / "new.py", b"1")
    (tmp_path / "new.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged, match=r"new\.py: changed since write .*; left as it is") as refusal:
        kept.undo()
    assert refusal.value.hint == "delete it yourself"


def test_undo_keeps_mode_links_and_names(kept, file, tmp_path):
    file.chmod(0o750)
    os.link(file, tmp_path / "twin")
    (tmp_path / "link").symlink_to("a.py")
    written(kept, tmp_path / "link", b"1")
    assert (tmp_path / "twin").read_bytes() == b"1"
    kept.undo()
    assert (tmp_path / "twin").read_bytes() == b"0"
    assert stat.S_IMODE(file.stat().st_mode) == 0o750
    assert (tmp_path / "link").is_symlink()


def test_a_write_that_a_crash_prevented_is_undone_by_doing_nothing(kept, file):
    (write_id,) = kept.record([Change(file, b"0", b"1")])
    inode = file.stat().st_ino
    assert kept.undo().id == write_id
    assert (file.read_bytes(), file.stat().st_ino) == (b"0", inode)


def test_an_undo_that_a_crash_cut_short_can_be_repeated(kept, file):
    (write_id,) = written(kept, file, b"1")
    kept.undo()
    file.write_bytes(b"1")  # marked as undone, but the file never changed
    kept.undo(write_id)
    assert file.read_bytes() == b"0"


def test_an_undo_that_is_refused_can_be_repeated(kept, file):
    written(kept, file, b"1")
    file.chmod(0o444)
    with pytest.raises(WriteFailed, match="is read-only"):
        kept.undo()
    assert kept.writes()[0].undone is None
    file.chmod(0o644)
    kept.undo()
    assert file.read_bytes() == b"0"


@pytest.mark.parametrize("damage", [lambda image: image.write_bytes(b"?"), lambda image: image.unlink()])
def test_a_damaged_image_is_not_put_back(kept, file, damage):
    written(kept, file, b"1")
    damage(kept.object_path(kept.writes()[0].before))
    with pytest.raises(WriteFailed, match="damaged or missing"):
        kept.undo()
    assert file.read_bytes() == b"1"


def test_a_damaged_image_is_replaced_by_the_next_write_of_its_bytes(kept, file):
    written(kept, file, b"1")
    kept.object_path(kept.writes()[0].before).write_bytes(b"?")
    written(kept, file, b"0", b"2")
    kept.undo()
    assert file.read_bytes() == b"0"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"time": "x", "path": "a", "before": null, "after": "b", "undone": null}',
        json.dumps({"time": 1, "path": "/a", "before": None, "after": "../../etc/passwd", "undone": None}).encode(),
        json.dumps({"time": 1, "path": "/a", "before": 3, "after": "0" * 64, "undone": None}).encode(),
    ],
)
def test_a_damaged_entry_is_left_out(kept, file, damage):
    (write_id,) = written(kept, file, b"1")
    (kept.root / "entries" / "beef.json").write_bytes(damage)
    (kept.root / "entries" / "dead.json").mkdir()
    assert [entry.id for entry in kept.writes()] == [write_id]
    written(kept, file, b"2")
    kept.undo()
    assert file.read_bytes() == b"1"


def test_only_the_newest_entries_are_kept(tmp_path, file):
    kept = UndoStore(tmp_path / "undo", max_writes=3)
    ids = written(kept, file, *(b"%d" % number for number in range(1, 8)))
    assert [entry.id for entry in kept.writes()] == ids[:3:-1]
    assert sorted(path.read_bytes() for path in (kept.root / "objects").iterdir()) == [b"4", b"5", b"6", b"7"]


def test_images_within_the_bound_are_kept_and_the_last_write_always(tmp_path, file):
    kept = UndoStore(tmp_path / "undo", max_bytes=2500)
    written(kept, file, *(b"%d" % number * 1000 for number in range(1, 6)))
    assert len(kept.writes()) == 1  # three images of 1000 bytes are too many for two
    written(kept, file, b"a" * 10_000)
    assert len(kept.writes()) == 1
    kept.undo()
    assert file.read_bytes() == b"5" * 1000


def test_a_content_that_two_writes_share_counts_once(tmp_path, file):
    kept = UndoStore(tmp_path / "undo", max_bytes=3500)
    written(kept, file, *(b"%d" % number * 1000 for number in range(1, 6)))
    assert len(kept.writes()) == 2  # the contents 5 to 4 and 4 to 3


def test_a_content_that_is_missing_hinders_no_write(kept, file):
    written(kept, file, b"1")
    kept.object_path(kept.writes()[0].before).unlink()
    assert len(written(kept, file, b"2")) == 1


def test_the_store_keeps_two_hundred_writes_and_megabytes(tmp_path):
    kept = UndoStore(tmp_path)
    assert (kept.max_writes, kept.max_bytes) == (200, 200_000_000)


def test_what_a_crash_left_behind_goes_after_a_day(tmp_path, file):
    kept = UndoStore(tmp_path / "undo", max_writes=1)
    written(kept, file, b"1")
    for name, age in {".diffu-new": 0, ".diffu-old": 2 * 86_400}.items():
        (kept.root / "objects" / name).touch()
        os.utime(kept.root / "objects" / name, (kept.writes()[0].time - age,) * 2)
    written(kept, file, b"2")
    assert (kept.root / "objects" / ".diffu-new").exists()
    assert not (kept.root / "objects" / ".diffu-old").exists()


def test_nobody_else_may_look(kept, file):
    mask = os.umask(0)
    try:
        written(kept, file, b"1")
    finally:
        os.umask(mask)
    for path in [kept.root, *kept.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_order_survives_a_clock_that_goes_back(kept, file, monkeypatch):
    ids = []
    for second in (2000.0, 1000.0, 1500.0):
        monkeypatch.setattr(undo.time, "time", lambda second=second: second)
        ids += written(kept, file, b"%d" % second)
    assert [entry.id for entry in kept.writes()] == ids[::-1]


def test_a_path_that_is_no_utf_8_is_kept(kept, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.py"))
    written(kept, path, b"1")
    assert kept.writes()[0].path == path
    kept.undo()
    assert not path.exists()


WRITER = """
import sys
from pathlib import Path
from diffucli.edit import patch
from diffucli.edit.undo import UndoStore
for number in range(8):
    patch.create(Path(sys.argv[1]), b"%d" % number, store=UndoStore(Path(sys.argv[2])))
"""


def test_two_processes_lose_no_entry(kept, tmp_path):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / name, kept.root]) for name in ("a", "b", "c")
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    entries = kept.writes()
    assert sorted(entry.path.name for entry in entries) == ["a"] * 8 + ["b"] * 8 + ["c"] * 8
    for _ in entries:
        kept.undo()
    assert not any((tmp_path / name).exists() for name in "abc")


def test_a_process_waits_for_the_one_that_holds_the_store(kept, tmp_path, file):
    fcntl = pytest.importorskip("fcntl")
    written(kept, file, b"1")
    with (kept.root / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "b", kept.root])
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        assert not (tmp_path / "b").exists()
    assert child.wait() == 0
    assert (tmp_path / "b").read_bytes() == b"7"


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path))
    assert undo.default_root() == tmp_path / "undo"
    monkeypatch.delenv("DIFFU_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert undo.default_root() == tmp_path / "xdg" / "diffu" / "undo"


def test_undoing_does_not_need_the_file_to_be_read_as_text(kept, tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    read = source.read(path)
    patch.write(read, read.encode("x = 2\r\n"), store=kept)
    kept.undo()
    assert path.read_bytes() == b"\xef\xbb\xbfx = 1\r\n"
