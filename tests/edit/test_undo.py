"""Undo and redo."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diffucli import atomic
from diffucli.edit import patch, source, undo
from diffucli.edit.patch import Change
from diffucli.edit.undo import UndoStore
from diffucli.errors import TargetChanged, UsageError, WriteFailed


class Kept(UndoStore):
    """A store whose `undo` and `redo` take an id, a file or nothing, as the command does."""

    def undo(self, name=None, *, redo=False):
        below = self.root.parent.parent
        chosen = (self.last(below=below, redo=redo), None) if name is None else self.find(str(name), redo=redo)
        return (super().redo if redo else super().undo)(*chosen)

    def redo(self, name=None):
        return self.undo(name, redo=True)


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "state" / "undo")


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
    (write,) = kept.writes()
    (entry,) = write.files
    assert (write.id, write.doing, entry.path, entry.state) == (write_id, "", file, "written")
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
    assert kept.redo(first).holding("written")
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
    what = "is gone" if theirs is None else f"changed since write {write_id}"
    with pytest.raises(TargetChanged, match=what) as refusal:
        kept.undo()
    assert patch.content(file) == theirs
    assert f"diffu undo {write_id} --force" in refusal.value.hint
    assert kept.writes()[0].holding("written")


@pytest.mark.parametrize("theirs", [b"theirs", b"1", b"0", None])
@pytest.mark.parametrize("redo", [False, True])
def test_a_file_is_overwritten_on_request_and_what_it_held_comes_back(kept, file, theirs, redo):
    written(kept, file, b"1")
    if redo:
        kept.undo()
    file.unlink() if theirs is None else file.write_bytes(theirs)
    (done,) = kept.overwrite(kept.writes()[0], redo=redo)
    assert file.read_bytes() == (b"1" if redo else b"0")
    assert kept.writes()[-1].files[0].state == ("written" if redo else "undone")
    if done.changed:
        kept.undo(done.undo_id)
        assert patch.content(file) == theirs


def test_what_a_write_created_is_not_deleted_by_force(kept, tmp_path):
    written(kept, tmp_path / "new.py", b"1")
    (tmp_path / "new.py").write_bytes(b"theirs")
    with pytest.raises(UsageError, match=r"new\.py was created by write"):
        kept.overwrite(*kept.find(str(tmp_path / "new.py")))
    assert (tmp_path / "new.py").read_bytes() == b"theirs"


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


def test_an_undo_that_somebody_reversed_can_be_repeated_and_so_can_a_redo(kept, file):
    """The content decides, not the entry."""
    (write_id,) = written(kept, file, b"1")
    kept.undo()
    file.write_bytes(b"1")
    kept.undo(write_id)
    assert file.read_bytes() == b"0"
    kept.redo()
    file.write_bytes(b"0")
    kept.redo(write_id)
    assert file.read_bytes() == b"1"


def test_a_file_that_holds_the_old_content_already_is_not_written(kept, file):
    written(kept, file, b"1")
    file.write_bytes(b"0")
    before = file.stat()
    assert kept.undo().holding("undone")
    assert file.stat() == before


def test_an_undo_that_is_refused_can_be_repeated(kept, file):
    written(kept, file, b"1")
    file.chmod(0o444)
    with pytest.raises(WriteFailed, match="is read-only"):
        kept.undo()
    assert kept.writes()[0].holding("written")
    file.chmod(0o644)
    kept.undo()
    assert file.read_bytes() == b"0"


@pytest.mark.parametrize("damage", [lambda image: image.write_bytes(b"?"), lambda image: image.unlink()])
def test_a_damaged_image_is_not_put_back(kept, file, damage):
    written(kept, file, b"1")
    damage(kept.object_path(kept.writes()[0].files[0].before))
    with pytest.raises(WriteFailed, match="damaged or missing"):
        kept.undo()
    assert file.read_bytes() == b"1"


def test_a_damaged_image_is_replaced_by_the_next_write_of_its_bytes(kept, file):
    written(kept, file, b"1")
    kept.object_path(kept.writes()[0].files[0].before).write_bytes(b"?")
    written(kept, file, b"0", b"2")
    kept.undo()
    assert file.read_bytes() == b"0"


FILE = {"path": "/a", "before": None, "after": "0" * 64, "state": "written", "since": 1, "mode": None}
SOUND = {"id": "beef", "time": 1, "files": [FILE], "doing": ""}


def of_file(**values):
    return json.dumps(SOUND | {"files": [FILE | values]}).encode()


DAMAGED = {
    "nothing": b"",
    "half": b"{",
    "a list": b"[]",
    "null": b"null",
    "no text": b"\xff",
    "empty": b"{}",
    "deep": b"[" * 100_000,
    "no files": json.dumps(SOUND | {"files": []}).encode(),
    "no list": json.dumps(SOUND | {"files": 3}).encode(),
    "a string": json.dumps(SOUND | {"files": ["a"]}).encode(),
    "another doing": json.dumps(SOUND | {"doing": "sing"}).encode(),
    "no time": json.dumps(SOUND | {"time": "x"}).encode(),
    "time NaN": json.dumps(SOUND | {"time": float("nan")}).encode(),
    "time without end": json.dumps(SOUND | {"time": 1e300}).encode(),
    "since infinite": of_file(since=float("inf")),
    "a path as image": of_file(after="../../etc/passwd"),
    "a number as image": of_file(before=3),
    "no image": of_file(after=None),
    "a relative path": of_file(path="a"),
    "NUL in the path": of_file(path="/a\0b"),
    "half a character": of_file(path="/a\ud800"),
    "a number as path": of_file(path=7),
    "another state": of_file(state="lost"),
    "a mode too large": of_file(mode=1 << 40),
    "a negative mode": of_file(mode=-1),
    "one value more": of_file(more=1),
}


def test_the_entry_that_is_damaged_in_these_tests_is_sound(kept, file):
    written(kept, file, b"1")
    (kept.root / "entries" / "beef.json").write_text(json.dumps(SOUND))
    assert [entry.id for entry in kept.writes()][-1] == "beef"


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_entry_is_told_once_and_left_out(kept, file, damage):
    (write_id,) = written(kept, file, b"1")
    (kept.root / "entries" / "beef.json").write_bytes(DAMAGED[damage])
    told = []
    assert [entry.id for entry in replace(kept, tell=told.append).writes()] == [write_id]
    assert len(told) == 1
    assert "beef.json cannot be read" in told[0]
    assert replace(kept, tell=told.append).writes()
    assert len(told) == 1
    written(kept, file, b"2")
    kept.undo()
    assert file.read_bytes() == b"1"


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "too large", "another name"])
def test_what_is_no_entry_is_left_out_too(kept, file, kind):
    (write_id,) = written(kept, file, b"1")
    odd = kept.root / "entries" / "dead.json"
    match kind:
        case "folder":
            odd.mkdir()
        case "pipe":
            os.mkfifo(odd)
        case "loop":
            odd.symlink_to(odd)
        case "too large":
            with odd.open("wb") as sparse:
                sparse.truncate(1 << 40)
        case "another name":
            odd.with_name("x\x1b[2J.json").write_text(json.dumps(SOUND))
    told = []
    assert [entry.id for entry in replace(kept, tell=told.append).writes()] == [write_id]
    assert len(told) == 1


def test_contents_that_a_damaged_entry_names_are_kept_for_thirty_days(kept, file):
    (write_id,) = written(kept, file, b"1")
    entry = kept.root / "entries" / f"{write_id}.json"
    entry.write_bytes(entry.read_bytes()[:-1])
    assert kept.writes() == ()
    written(kept, file, b"2")
    objects = kept.root / "objects"
    assert {path.read_bytes() for path in objects.iterdir()} == {b"0", b"1", b"2"}
    os.utime(kept.root / "damaged" / entry.name, (1, 1))
    written(kept, file, b"3")
    assert {path.read_bytes() for path in objects.iterdir()} == {b"1", b"2", b"3"}
    assert not list((kept.root / "damaged").iterdir())


def test_while_an_entry_cannot_be_read_no_content_goes(kept, file, monkeypatch):
    (write_id,) = written(kept, file, b"1")
    (kept.root / "damaged").mkdir()
    (kept.root / "damaged" / "beef.json").touch()
    (kept.root / "entries" / f"{write_id}.json").unlink()

    def refusing(file):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(undo, "digests_in", refusing)
        kept.writes()
        assert len(list((kept.root / "objects").iterdir())) == 2
    kept.writes()
    assert list((kept.root / "objects").iterdir()) == []


def test_only_the_newest_entries_are_kept(tmp_path, file):
    kept = Kept(tmp_path / "undo" / "store", max_writes=3)
    ids = written(kept, file, *(b"%d" % number for number in range(1, 8)))
    assert [entry.id for entry in kept.writes()] == ids[:3:-1]
    assert sorted(path.read_bytes() for path in (kept.root / "objects").iterdir()) == [b"4", b"5", b"6", b"7"]


def test_images_within_the_bound_are_kept_and_the_last_write_always(tmp_path, file):
    kept = Kept(tmp_path / "undo" / "store", max_bytes=2500)
    written(kept, file, *(b"%d" % number * 1000 for number in range(1, 6)))
    assert len(kept.writes()) == 1  # three images of 1000 bytes are too many for two
    written(kept, file, b"a" * 10_000)
    assert len(kept.writes()) == 1
    kept.undo()
    assert file.read_bytes() == b"5" * 1000


def test_a_content_that_two_writes_share_counts_once(tmp_path, file):
    kept = Kept(tmp_path / "undo" / "store", max_bytes=3500)
    written(kept, file, *(b"%d" % number * 1000 for number in range(1, 6)))
    assert len(kept.writes()) == 2  # the contents 5 to 4 and 4 to 3


def test_a_content_that_is_missing_hinders_no_write(kept, file):
    written(kept, file, b"1")
    kept.object_path(kept.writes()[0].files[0].before).unlink()
    assert len(written(kept, file, b"2")) == 1


def test_the_store_keeps_two_hundred_writes_and_megabytes(tmp_path):
    kept = UndoStore(tmp_path)
    assert (kept.max_writes, kept.max_bytes) == (200, 200_000_000)


def test_what_dead_processes_left_behind_goes_and_what_a_live_one_writes_stays(kept, file):
    written(kept, file, b"1")
    machine, pid, started, number = atomic.mark().split("-")
    objects = kept.root / "objects"
    dead = [f"{machine}-{pid}-{int(started) - 10_000}-{number}", f"{machine}-4194304-{started}-{number}"]
    alive = [atomic.mark(), f"00000000-{pid}-1-{number}", "0"]
    for name in (*dead, *alive):
        (objects / f".diffu-{name}").touch()
    (objects / ("0" * 64)).write_bytes(b"of a write that was never recorded")
    kept.writes()
    assert sorted(path.name for path in objects.glob(".diffu-*")) == sorted(f".diffu-{name}" for name in alive)
    assert not (objects / ("0" * 64)).exists()


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
    assert kept.writes()[0].files[0].path == path
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
    assert sorted(entry.files[0].path.name for entry in entries) == ["a"] * 8 + ["b"] * 8 + ["c"] * 8
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


# several files, names, links, modes


@pytest.fixture
def two(kept, tmp_path):
    """Two files that one command wrote, the second one new; the id."""
    (tmp_path / "a").write_bytes(b"old")
    changes = [Change.of_path(tmp_path / name, b"new " + name.encode()) for name in "ab"]
    return patch.write_all(changes, store=kept)[0].undo_id


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_files_of_one_command_are_undone_together(kept, tmp_path, two):
    assert [write.id for write in kept.writes()] == [two]
    kept.undo()
    assert contents(tmp_path) == {"a": b"old"}
    kept.redo()
    assert contents(tmp_path) == {"a": b"new a", "b": b"new b"}


def test_if_one_of_them_has_changed_none_is_undone_but_each_can_be_alone(kept, tmp_path, two):
    (tmp_path / "b").write_bytes(b"theirs")
    with pytest.raises(TargetChanged, match=r"b: changed since write") as refusal:
        kept.undo()
    assert "diffu undo FILE" in refusal.value.hint
    assert contents(tmp_path) == {"a": b"new a", "b": b"theirs"}
    kept.undo(tmp_path / "a")
    assert contents(tmp_path) == {"a": b"old", "b": b"theirs"}
    assert [file.state for file in kept.writes()[0].files] == ["undone", "written"]


def test_a_file_that_was_undone_alone_and_changed_since_hinders_the_others_not(kept, tmp_path, two):
    kept.undo(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"theirs")
    kept.undo(two)
    assert contents(tmp_path) == {"a": b"theirs"}


def test_a_file_is_undone_write_by_write(kept, file, tmp_path):
    written(kept, file, b"1", b"2")
    written(kept, tmp_path / "b.py", b"1")
    for expected in (b"1", b"0"):
        kept.undo(file)
        assert file.read_bytes() == expected
    with pytest.raises(UsageError, match=r"there is no write of .*a\.py to undo"):
        kept.undo(file)
    for expected in (b"1", b"2"):
        kept.redo(file)
        assert file.read_bytes() == expected
    with pytest.raises(UsageError, match=r"there is no write of .*a\.py to redo"):
        kept.redo(file)
    assert (tmp_path / "b.py").read_bytes() == b"1"


def test_the_last_write_is_that_below_a_folder(kept, tmp_path):
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
        written(kept, tmp_path / name / "a.py", b"1")
    far, near = kept.writes()
    assert kept.last(below=tmp_path / "near") == near
    assert kept.last(below=tmp_path) == far
    with pytest.raises(UsageError, match="nothing to undo below") as refusal:
        kept.last(below=tmp_path / "nowhere")
    assert refusal.value.hint.endswith(f"far/a.py: diffu undo {far.id}")
    assert kept.before(far, below=tmp_path) == near
    assert kept.before(far, below=tmp_path / "far") is None


def test_undo_follows_a_path_that_has_become_a_link(kept, file, tmp_path):
    written(kept, file, b"1")
    file.rename(tmp_path / "real.py")
    file.symlink_to("real.py")
    kept.undo()
    assert file.readlink() == Path("real.py")
    assert (tmp_path / "real.py").read_bytes() == b"0"


def test_redo_makes_a_created_file_with_the_mode_that_it_had(kept, tmp_path):
    written(kept, tmp_path / "new.sh", b"1")
    (tmp_path / "new.sh").chmod(0o751)
    kept.undo()
    kept.redo()
    assert stat.S_IMODE((tmp_path / "new.sh").stat().st_mode) == 0o751


def test_a_deletion_that_is_taken_back_keeps_the_mode_too(kept, tmp_path, two, monkeypatch):
    (tmp_path / "b").chmod(0o751)
    replace_, calls = Path.replace, []

    def failing(path, target):
        if target == tmp_path / "a":
            calls.append(target)
            raise OSError(errno.EIO, "Input/output error")
        return replace_(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteFailed):
        kept.undo()
    assert contents(tmp_path) == {"a": b"new a", "b": b"new b"}
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o751
    assert calls


def test_a_write_that_was_dropped_meanwhile_is_not_undone(kept, file):
    written(kept, file, b"1")
    write = kept.writes()[0]
    (kept.root / "entries" / f"{write.id}.json").unlink()
    with pytest.raises(UsageError, match="is not kept any more"):
        UndoStore(kept.root).undo(write)
    assert file.read_bytes() == b"1"


# stops and locks


def interrupted(kept, file, content, doing="write"):
    """Leaves the store as a process that was killed while it wrote `file`, which it left with `content`."""
    write = kept.writes()[0]
    kept._save(replace(write, doing=doing))
    file.write_bytes(content)
    told = []
    return told, replace(kept, tell=told.append)


def test_a_write_in_place_that_was_killed_is_told_and_can_be_taken_back(kept, file):
    (write_id,) = written(kept, file, b"1 and more")
    told, again = interrupted(kept, file, b"0 and mo")
    (write,) = again.writes()
    assert [each.state for each in write.files] == ["torn"]
    assert told == [f"write {write_id} was interrupted: {file} written in part (diffu undo {write_id} takes it back)"]
    assert len(again.writes()) == len(told) == 1, "it is told once"
    kept.undo()
    assert file.read_bytes() == b"0"


def test_or_it_can_be_completed(kept, file):
    (write_id,) = written(kept, file, b"1 and more")
    interrupted(kept, file, b"0 and mo")
    kept.redo(write_id)
    assert file.read_bytes() == b"1 and more"


def test_an_edit_that_looks_like_a_half_written_file_is_an_edit_all_the_same(kept, file):
    written(kept, file, b"1 and more")
    file.write_bytes(b"0 and mo")
    with pytest.raises(TargetChanged):
        kept.undo()
    assert file.read_bytes() == b"0 and mo"


@pytest.mark.parametrize("doing", ["write", "undo", "redo"])
def test_a_file_that_changed_after_a_kill_is_left_alone(kept, file, doing):
    written(kept, file, b"1")
    told, again = interrupted(kept, file, b"theirs", doing)
    with pytest.raises(TargetChanged):
        UndoStore.undo(again, again.last(below=file.parent))
    assert file.read_bytes() == b"theirs"
    assert told == []


def test_of_several_files_those_that_a_kill_kept_from_being_written_are_told(kept, tmp_path, two):
    told, again = interrupted(kept, tmp_path / "a", b"old")
    again.writes()
    said = f"{tmp_path / 'b'} written; {tmp_path / 'a'} not written"
    assert told == [f"write {two} was interrupted: {said} (diffu undo {two} takes it back)"]


def test_a_store_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteFailed, match="cannot be written") as refusal:
        UndoStore(tmp_path / "file" / "undo").prepare()
    assert "DIFFU_STATE" in refusal.value.hint
    UndoStore(tmp_path / "undo").prepare()


def test_a_store_of_somebody_else_is_found_before_the_work(open_folder, unprivileged):
    UndoStore(open_folder / "undo").prepare()
    for folder in (open_folder / "undo", open_folder / "undo" / "entries"):
        folder.chmod(0o755)
    (open_folder / "undo" / "lock").chmod(0o666)
    code = """
        try:
            UndoStore(Path(sys.argv[1])).prepare()
        except DiffuError as refusal:
            print(refusal)
    """
    assert "cannot be written" in unprivileged(code, open_folder / "undo")


HOLDER = """
import sys
from diffucli.edit.undo import *
with UndoStore(Path(sys.argv[1]))._locked():
    print(flush=True)
    input()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by signals")
def test_a_lock_that_a_stopped_process_holds_is_told_and_given_up(kept, file, monkeypatch):
    written(kept, file, b"1")
    command = [sys.executable, "-c", HOLDER, kept.root]
    told = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
        monkeypatch.setattr(undo, "LOCK_SECONDS", 0.1)
        with pytest.raises(WriteFailed, match=f"is held by process {holder.pid}, which is stopped") as refusal:
            replace(kept, tell=told.append).writes()
        assert refusal.value.hint == f"kill -CONT {holder.pid} lets it go on, kill {holder.pid} ends it"
        assert told == [f"waiting for process {holder.pid}, which is stopped, which holds the undo store"]
        holder.kill()
    assert kept.writes()


def test_a_lock_is_waited_for_ten_seconds():
    assert undo.LOCK_SECONDS == 10


def test_a_kill_at_any_point_leaves_whole_files_and_entries_that_agree_with_them():
    """Of three files, one new and one with two names; the script alone runs more scenes."""
    command = [sys.executable, Path(__file__).with_name("killed_writes.py"), "several"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)
    assert len(points) == 12
    assert min(points.values()) > 30
