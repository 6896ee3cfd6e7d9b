"""Diffs that git applies, and writes of one or several files that lose nothing."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli import atomic
from diffucli.edit import patch, source
from diffucli.edit.patch import Change, Written
from diffucli.edit.undo import UndoStore
from diffucli.errors import DiffuError, TargetChanged, UsageError, WriteFailed

LONG = b"".join(b"line %d\n" % number for number in range(200))


@pytest.fixture
def store(tmp_path):
    return UndoStore(tmp_path / "state" / "undo")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def git(*arguments, cwd, stdin=b""):
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
    done = subprocess.run(["git", *arguments], cwd=cwd, input=stdin, capture_output=True, env=quiet, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def undone(store, name=None):
    """Undoes a file's last write, or else the last one of all."""
    chosen = (store.last(below=Path("/")), None) if name is None else store.find(str(name))
    return store.undo(*chosen)


def refused_write(path, new=b"new", *, store=None):
    with pytest.raises(DiffuError) as refusal:
        patch.write(source.read(path), new, store=store)
    assert refusal.value.hint
    assert "\n" not in refusal.value.message
    return refusal.value


CHANGES = {
    "a line": (LONG, LONG.replace(b"line 7\n", b"seven\n")),
    "both ends and the middle": (LONG, b"first\n" + LONG.replace(b"line 99\n", b"") + b"last\n"),
    "CRLF": (b"a\r\nb\r\nc\r\n", b"a\r\nx\r\nc\r\n"),
    "lone CR": (b"a\rb\nc\n", b"a\rx\nc\n"),
    "no newline before": (b"a\nb", b"a\nb\n"),
    "no newline after": (b"a\nb\n", b"a\nb"),
    "no newline at all": (b"a\nb", b"x\nb"),
    "no newline, CRLF": (b"a\r\nb", b"a\r\nx"),
    "empty before": (b"", b"a\nb\n"),
    "empty before, no newline": (b"", b"a"),
    "empty after": (b"a\nb\n", b""),
    "latin-1": (b"# coding: latin-1\n\xe9\n", b"# coding: latin-1\n\xe8\n"),
    "UTF-8 and form feed": ("é\fa\u2028b\n".encode(), "è\fa\u2028b\n".encode()),
    "UTF-16": ("\ufeffa\nb\n".encode("utf-16-le"), "\ufeffa\nx\n".encode("utf-16-le")),
    "lines like a diff": (b"--- a\n+++ b\n@@ -1 +1 @@\n", b"--- a\n-- b\n@@ -1 +1 @@\n"),
}
NAMES = [
    "a.py",
    "deep/er/a.py",
    "with blank.py",
    "grün.py",
    'quo"te.py',
    "back\\slash.py",
    "tab\there.py",
    "new\nline.py",
]


def applied(folder, name, old, new):
    """What git makes of `old` with the diff to `new`."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(old)
    git("init", "-q", cwd=folder)
    git("add", "-A", cwd=folder)
    diff = patch.unified_diff(source.read(folder / name), new, name=name)
    git("apply", "--index", "--whitespace=nowarn", "-", cwd=folder, stdin=diff)
    return (folder / name).read_bytes() if (folder / name).exists() else None


@pytest.mark.parametrize("change", CHANGES)
def test_git_applies_the_diff(folder, change):
    old, new = CHANGES[change]
    assert applied(folder, "a.py", old, new) == new


@pytest.mark.parametrize("name", NAMES)
def test_git_finds_the_file_whatever_its_name(folder, name):
    assert applied(folder, name, b"old\n", b"new\n") == b"new\n"


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "UTF-16"])
def test_the_diff_is_the_one_that_git_prints(folder, change):
    old, new = CHANGES[change]
    (folder / "with blank é.py").write_bytes(old)
    diff = patch.unified_diff(source.read(folder / "with blank é.py"), new, name="./with blank é.py")
    git("init", "-q", cwd=folder)
    git("add", "-A", cwd=folder)
    (folder / "with blank é.py").write_bytes(new)
    theirs = git("-c", "core.autocrlf=false", "diff", "--no-ext-diff", "--no-color", cwd=folder)
    without_index = re.sub(rb"\nindex .*", b"", theirs, count=1)
    assert diff == re.sub(rb"(?m)^(@@ .*? @@).*", rb"\1", without_index)


def test_no_change_no_diff():
    assert patch.unified_diff(source.from_bytes(b"a\n"), b"a\n", name="a") == b""


def test_a_diff_of_a_large_file_is_quick():
    old = b"".join(b"line %d\n" % (number % 5000) for number in range(60_000))
    begun = time.perf_counter()
    assert patch.unified_diff(source.from_bytes(old), b"x\n" + old + b"y\n", name="a").count(b"@@ -") == 2
    assert time.perf_counter() - begun < 5


def test_a_write_changes_the_bytes_and_says_what_undoes_it(folder, store):
    (folder / "a.py").write_bytes(b"old")
    written = patch.write(source.read(folder / "a.py"), b"new", store=store)
    assert (folder / "a.py").read_bytes() == b"new"
    assert written == Written(folder / "a.py", changed=True, undo_id=store.writes()[0].id)


def test_nothing_but_the_file_is_left_in_its_folder(folder, store):
    (folder / "a.py").write_bytes(b"old")
    patch.write(source.read(folder / "a.py"), b"new", store=store)
    assert names(folder) == ["a.py"]


def test_mode_owner_and_extended_attributes_stay(folder):
    path = folder / "a.py"
    path.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    path.chmod(0o4751)
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("the disk has no extended attributes")
    before = path.stat()
    patch.write(source.read(path), b"new", store=None)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(path, "user.note") == b"kept"
    assert after.st_ino != before.st_ino


def test_the_time_of_the_change_is_new(folder):
    (folder / "a.py").write_bytes(b"old")
    os.utime(folder / "a.py", (1, 1))
    patch.write(source.read(folder / "a.py"), b"new", store=None)
    assert (folder / "a.py").stat().st_mtime > 1


def test_the_same_bytes_are_not_written_at_all(folder, store):
    (folder / "a.py").write_bytes(b"old")
    before = (folder / "a.py").stat()
    written = patch.write(source.read(folder / "a.py"), b"old", store=store)
    assert written == Written(folder / "a.py", changed=False, undo_id=None)
    assert (folder / "a.py").stat() == before
    assert store.writes() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the name of a descriptor")
@pytest.mark.parametrize("links", [1, 2])
def test_everything_is_synced_and_the_pre_image_first(folder, store, monkeypatch, links):
    (folder / "a.py").write_bytes(b"old")
    if links == 2:
        os.link(folder / "a.py", folder / "b.py")
    synced = []

    def fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.parent.name if path.is_file() else path.name, (folder / "a.py").read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    patch.write(source.read(folder / "a.py"), b"new", store=store)
    kept = [(where, b"old") for where in ("objects", "objects", "objects", "objects", "entries", "entries")]
    settled = 2 * [("entries", b"new")]
    ways = {
        1: [*kept, ("project", b"old"), ("project", b"new"), *settled],
        2: [*kept, ("project", b"old"), *3 * [("project", b"new")], *settled],
    }
    assert synced == ways[links]


def test_a_symlink_stays_and_its_target_changes(folder, store):
    (folder / "real").mkdir()
    (folder / "real" / "a.py").write_bytes(b"old")
    (folder / "link.py").symlink_to("real/a.py")
    written = patch.write(source.read(folder / "link.py"), b"new", store=store)
    assert (folder / "link.py").readlink() == Path("real/a.py")
    assert (folder / "real" / "a.py").read_bytes() == b"new"
    assert written.path == folder / "real" / "a.py"


@pytest.mark.parametrize("new", [b"longer than before", b"ab", b""])
def test_all_names_of_a_file_see_the_change(folder, store, new):
    (folder / "a.py").write_bytes(b"old one")
    os.link(folder / "a.py", folder / "b.py")
    patch.write(source.read(folder / "a.py"), new, store=store)
    assert (folder / "b.py").read_bytes() == new
    assert (folder / "a.py").samefile(folder / "b.py")


@pytest.mark.parametrize("links", [1, 2])
def test_a_file_that_changed_meanwhile_is_left_alone(folder, store, links):
    (folder / "a.py").write_bytes(b"old")
    if links == 2:
        os.link(folder / "a.py", folder / "b.py")
    read = source.read(folder / "a.py")
    (folder / "a.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged, match="changed on disk since it was read"):
        patch.write(read, b"new", store=store)
    assert (folder / "a.py").read_bytes() == b"theirs"
    assert store.writes() == ()


def test_a_change_in_the_last_moment_is_seen_too(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"old")
    read = source.read(folder / "a.py")
    copystat = atomic.shutil.copystat

    def late(*paths):
        (folder / "a.py").write_bytes(b"theirs")
        copystat(*paths)

    monkeypatch.setattr(atomic.shutil, "copystat", late)
    with pytest.raises(TargetChanged):
        patch.write(read, b"new", store=store)
    assert (folder / "a.py").read_bytes() == b"theirs"
    assert names(folder) == ["a.py"]
    assert store.writes() == ()


def test_a_write_in_place_looks_again_too(folder):
    (folder / "a.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged):
        patch._overwrite(Change(folder / "a.py", b"old", b"new"), b"old", b"new")
    assert (folder / "a.py").read_bytes() == b"theirs"


def test_a_store_that_fails_afterwards_does_not_hide_why_the_write_was_refused(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"old")

    def full(self, write):
        (folder / "a.py").write_bytes(b"theirs")
        save(self, write)
        monkeypatch.setattr(UndoStore, "_save", refuse)

    def refuse(self, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    save = UndoStore._save
    monkeypatch.setattr(UndoStore, "_save", full)
    with pytest.raises(TargetChanged):
        patch.write(source.read(folder / "a.py"), b"new", store=store)


def test_a_file_that_is_gone_is_not_brought_back(folder, store):
    (folder / "a.py").write_bytes(b"old")
    read = source.read(folder / "a.py")
    (folder / "a.py").unlink()
    with pytest.raises(TargetChanged):
        patch.write(read, b"new", store=store)
    assert names(folder) == []


@pytest.mark.parametrize("mode", [0o444, 0o555])
def test_a_file_without_write_permission_is_refused_even_to_root(folder, store, mode):
    (folder / "a.py").write_bytes(b"old")
    (folder / "a.py").chmod(mode)
    refusal = refused_write(folder / "a.py", store=store)
    assert isinstance(refusal, WriteFailed)
    assert "is read-only" in refusal.message
    assert (folder / "a.py").read_bytes() == b"old"
    assert store.writes() == ()


def test_stdin_cannot_be_written_back():
    with pytest.raises(UsageError, match=r"^stdin cannot be written back$") as refusal:
        patch.write(source.from_bytes(b"a"), b"b", store=None)
    assert refusal.value.hint == "leave out -w, or name a file with -o"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused(folder, kind):
    path = {"pipe": folder / "pipe", "device": Path(os.devnull), "folder": folder}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError, match="is a folder" if kind == "folder" else "is not a regular file"):
        patch.create(path, b"new", store=None)


def test_a_new_file_gets_the_usual_mode(folder, store):
    mask = os.umask(0o026)
    try:
        written = patch.create(folder / "new.py", b"new", store=store)
    finally:
        os.umask(mask)
    assert (folder / "new.py").read_bytes() == b"new"
    assert stat.S_IMODE((folder / "new.py").stat().st_mode) == 0o640, "and nobody may run it"
    assert store.writes()[0].files[0].before is None
    assert written.undo_id == store.writes()[0].id


def test_a_new_file_over_an_old_one_is_a_write_like_any_other(folder, store):
    (folder / "a.py").write_bytes(b"old")
    (folder / "a.py").chmod(0o600)
    patch.create(folder / "a.py", b"new", store=store)
    assert stat.S_IMODE((folder / "a.py").stat().st_mode) == 0o600
    undone(store)
    assert (folder / "a.py").read_bytes() == b"old"


def test_an_empty_new_file_is_made(folder):
    assert patch.create(folder / "a.py", b"", store=None).changed
    assert (folder / "a.py").read_bytes() == b""


def test_a_new_file_through_a_dangling_symlink_is_made_where_it_points(folder):
    (folder / "link").symlink_to("real.py")
    patch.create(folder / "link", b"new", store=None)
    assert (folder / "real.py").read_bytes() == b"new"
    assert (folder / "link").is_symlink()


@pytest.fixture
def no_links(monkeypatch):
    """A file system that knows no hard links, such as FAT."""

    def refused(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)


def test_where_there_are_no_hard_links_a_new_file_is_made_all_the_same(folder, store, no_links):
    patch.create(folder / "a.py", b"new", store=store)
    assert contents(folder) == {"a.py": b"new"}
    undone(store)
    assert contents(folder) == {}


def test_nor_does_it_replace_one_that_came_in_the_last_moment_there(folder, store, no_links, monkeypatch):
    replace_all = patch._replace_all

    def late(staged):
        (folder / "a.py").write_bytes(b"theirs")
        replace_all(staged)

    monkeypatch.setattr(patch, "_replace_all", late)
    with pytest.raises(TargetChanged, match="appeared meanwhile"):
        patch.create(folder / "a.py", b"new", store=store)
    assert contents(folder) == {"a.py": b"theirs"}
    assert store.writes() == ()


def test_nor_is_a_part_of_it_left_there_by_a_full_disk(folder, store, no_links, monkeypatch):
    Failing(monkeypatch, passed=3, times=1)  # the new content, the entry, and what is staged
    with pytest.raises(WriteFailed, match="No space left"):
        patch.create(folder / "a.py", b"the new text", store=store)
    assert contents(folder) == {}
    assert store.writes() == ()


def test_a_new_file_that_appears_in_the_last_moment_is_not_replaced(folder, store, monkeypatch):
    link = os.link

    def late(file, target):
        target.write_bytes(b"theirs")
        link(file, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(TargetChanged, match="appeared meanwhile"):
        patch.create(folder / "a.py", b"new", store=store)
    assert contents(folder) == {"a.py": b"theirs"}
    assert store.writes() == ()


@pytest.mark.parametrize("name", ["missing/a.py", "file/a.py"])
def test_a_new_file_wants_its_folder(folder, name):
    (folder / "file").touch()
    with pytest.raises(UsageError, match="its folder does not exist") as refusal:
        patch.create(folder / name, b"new", store=None)
    assert refusal.value.hint.startswith("mkdir -p ")


def test_a_file_that_appeared_meanwhile_is_not_overwritten(folder):
    (folder / "a.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged, match="appeared meanwhile"):
        patch.write_all([Change(folder / "a.py", None, b"new")], store=None)
    assert (folder / "a.py").read_bytes() == b"theirs"


def test_without_a_pre_image_nothing_is_written(folder, open_folder, unprivileged):
    (open_folder / "a.py").write_bytes(b"old")
    (open_folder / "a.py").chmod(0o666)
    (open_folder / "home").mkdir(mode=0o555)
    code = """
        try:
            patch.write(source.read(Path(sys.argv[1])), b"new", store=UndoStore(Path(sys.argv[2], "undo")))
        except DiffuError as refusal:
            print(type(refusal).__name__, refusal.hint)
    """
    assert unprivileged(code, open_folder / "a.py", open_folder / "home").startswith("WriteFailed set DIFFU_STATE")
    assert (open_folder / "a.py").read_bytes() == b"old"


@pytest.mark.parametrize("links", [1, 2])
def test_a_full_disk_leaves_the_file_as_it_was(small_disk, store, links):
    path = small_disk / "a.py"
    path.write_bytes(LONG)
    if links == 2:
        os.link(path, small_disk / "b.py")
    refusal = refused_write(path, b"x" * 100_000, store=store)
    assert isinstance(refusal, WriteFailed)
    assert refusal.__cause__.errno == errno.ENOSPC
    assert path.read_bytes() == LONG
    assert len(names(small_disk)) == links
    assert store.writes() == ()


def test_a_disk_too_full_for_the_pre_image_leaves_the_file_as_it_was(small_disk, folder):
    (folder / "a.py").write_bytes(b"o" * 100_000)
    refusal = refused_write(folder / "a.py", store=UndoStore(small_disk / "undo"))
    assert isinstance(refusal, WriteFailed)
    assert "undo store" in refusal.message
    assert (folder / "a.py").read_bytes() == b"o" * 100_000
    assert not list(small_disk.rglob(".diffu-*"))


def test_a_disk_mounted_read_only_leaves_the_file_as_it_was(small_disk, store):
    (small_disk / "a.py").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert isinstance(refused_write(small_disk / "a.py", store=store), WriteFailed)
    with pytest.raises(WriteFailed, match="Read-only file system"):
        patch.create(small_disk / "new.py", b"new", store=store)
    assert store.writes() == ()


def test_a_file_that_is_a_mount_point_is_written_in_place(small_disk, folder, store):
    """As single files are in containers: they cannot be replaced."""
    (small_disk / "inside.py").write_bytes(b"old")
    (folder / "a.py").touch()
    subprocess.run(["mount", "--bind", small_disk / "inside.py", folder / "a.py"], check=True)
    try:
        patch.write(source.read(folder / "a.py"), b"new", store=store)
        assert (small_disk / "inside.py").read_bytes() == b"new"
        assert names(folder) == ["a.py"]
        undone(store)
        assert (small_disk / "inside.py").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", folder / "a.py"], check=True)


WRITE = """
    try:
        written = patch.write(source.read(Path(sys.argv[1])), b"new", store=UndoStore(Path(sys.argv[2])))
        print("changed", written.changed)
    except DiffuError as refusal:
        print(type(refusal).__name__, refusal)
"""


def test_in_a_folder_that_may_not_be_changed_the_file_is_written_in_place(open_folder, unprivileged):
    project, state = open_folder / "project", open_folder / "state"
    project.mkdir()
    (project / "a.py").write_bytes(b"old")
    (project / "a.py").chmod(0o666)
    project.chmod(0o555)
    inode = (project / "a.py").stat().st_ino
    assert unprivileged(WRITE, project / "a.py", state) == "changed True"
    assert (project / "a.py").read_bytes() == b"new"
    assert (project / "a.py").stat().st_ino == inode
    assert UndoStore(state).object_path(UndoStore(state).writes()[0].files[0].before).read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_owner_keeps_its_owner(open_folder, unprivileged):
    (open_folder / "a.py").write_bytes(b"old")
    (open_folder / "a.py").chmod(0o666)
    os.chown(open_folder / "a.py", 1234, 1234)
    assert unprivileged(WRITE, open_folder / "a.py", open_folder / "state") == "changed True"
    assert (open_folder / "a.py").read_bytes() == b"new"
    assert (open_folder / "a.py").stat().st_uid == 1234
    assert names(open_folder) == ["a.py", "state"]


def test_a_file_that_may_not_be_written_is_refused(open_folder, unprivileged):
    (open_folder / "a.py").write_bytes(b"old")
    (open_folder / "a.py").chmod(0o644 if os.geteuid() == 0 else 0o444)
    assert unprivileged(WRITE, open_folder / "a.py", open_folder / "state").startswith("WriteFailed")
    assert (open_folder / "a.py").read_bytes() == b"old"


class Failing:
    """Lets the first writes pass, refuses one after half its bytes, and at once the others up to `times`."""

    def __init__(self, monkeypatch, *, passed, times):
        self.calls, self.passed, self.times, self.write = 0, passed, times, atomic.write_fully
        monkeypatch.setattr(atomic, "write_fully", self)

    def __call__(self, file, data):
        self.calls += 1
        if self.passed < self.calls <= self.passed + self.times:
            self.write(file, data[: len(data) // 2 if self.calls == self.passed + 1 else 0])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(file, data)


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"", False),
        (b"old", False),
        (b"one old", True),
        (b"two new text", True),
        (b"two old", True),
        (b"twe old", True),
        (b"two new t", True),
        (b"one old text", True),
        (b"one old x", False),
        (b"two new text more", False),
        (b"one odd", False),
    ],
)
def test_a_mixture_has_each_byte_of_one_of_two_contents(content, is_one):
    for pair in ((b"one old", b"two new text"), (b"two new text", b"one old")):
        assert patch.is_mixture(content, *pair) is is_one


@pytest.mark.parametrize("passed", [0, 1])
@pytest.mark.parametrize("new", [b"longer than the old bytes", b"short"])
def test_a_write_in_place_that_fails_is_taken_back(folder, monkeypatch, passed, new):
    (folder / "a.py").write_bytes(b"the old bytes")
    os.link(folder / "a.py", folder / "b.py")
    Failing(monkeypatch, passed=passed, times=1)
    assert isinstance(refused_write(folder / "a.py", new), WriteFailed)
    assert (folder / "b.py").read_bytes() == b"the old bytes"


def test_a_file_that_cannot_be_staged_for_want_of_space_is_not_written_in_place_either(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"the old bytes")
    Failing(monkeypatch, passed=0, times=1)
    assert "No space left" in refused_write(folder / "a.py", store=store).message
    assert contents(folder) == {"a.py": b"the old bytes"}


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space on that disk"),
        (errno.EDQUOT, "your quota on that disk is used up: free some space"),
        (errno.EROFS, "that disk is mounted read-only: write elsewhere with -o"),
        (errno.EIO, "check the permissions of the file and its folder"),
    ],
)
def test_what_the_system_refuses_has_a_remedy(folder, monkeypatch, code, hint):
    (folder / "a.py").write_bytes(b"old")

    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic, "write_fully", refused)
    refusal = refused_write(folder / "a.py")
    assert (refusal.message, refusal.hint) == (f"{folder / 'a.py'}: {os.strerror(code)}", hint)


def test_a_write_in_place_that_could_not_be_taken_back_is_by_undo(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"the old bytes")
    os.link(folder / "a.py", folder / "b.py")
    Failing(monkeypatch, passed=4, times=2)  # before, after and the entry; the empty tail
    refusal = refused_write(folder / "a.py", b"NEW NEW NEW", store=store)
    assert "only in part" in refusal.message
    assert (folder / "a.py").read_bytes() not in (b"the old bytes", b"NEW NEW NEW")
    undone(store)
    assert (folder / "b.py").read_bytes() == b"the old bytes"


@pytest.fixture
def three(folder):
    """Three files as they were read, and what is to be written into each."""
    for name in "abc":
        (folder / f"{name}.py").write_bytes(b"old " + name.encode())
    return [Change.of_source(source.read(folder / f"{name}.py"), b"new " + name.encode()) for name in "abc"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


UNCHANGED = {"a.py": b"old a", "b.py": b"old b", "c.py": b"old c"}


def test_several_files_are_written_and_each_can_be_undone(folder, store, three):
    written = patch.write_all(three, store=store)
    assert contents(folder) == {"a.py": b"new a", "b.py": b"new b", "c.py": b"new c"}
    assert [one.path.name for one in written] == ["a.py", "b.py", "c.py"]
    assert [one.undo_id for one in written] == 3 * [store.writes()[0].id]
    undone(store, folder / "b.py")
    assert contents(folder) == {"a.py": b"new a", "b.py": b"old b", "c.py": b"new c"}


def test_of_several_files_those_that_do_not_change_are_not_written(folder, store, three):
    three[1] = Change(three[1].target, three[1].old, three[1].old)
    written = patch.write_all(three, store=store)
    assert [(one.changed, one.undo_id is None) for one in written] == [(True, False), (False, True), (True, False)]
    assert [file.path for file in store.writes()[0].files] == [three[0].target, three[2].target]


def test_nothing_to_write_touches_no_store(store):
    assert patch.write_all([], store=store) == []
    assert not store.root.exists()


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("trouble", ["changed", "gone", "read-only", "a folder", "appeared"])
def test_if_one_file_cannot_be_written_none_is(folder, store, three, trouble, position):
    target, expected = three[position].target, dict(UNCHANGED)
    match trouble:
        case "changed":
            target.write_bytes(b"theirs")
            expected[target.name] = b"theirs"
        case "gone":
            target.unlink()
            del expected[target.name]
        case "read-only":
            target.chmod(0o444)
        case "a folder":
            target.unlink()
            (target / "inside").mkdir(parents=True)
        case "appeared":
            three[position] = Change(target, None, b"new")
    with pytest.raises(DiffuError) as refusal:
        patch.write_all(three, store=store)
    assert str(target) in refusal.value.message
    if trouble == "a folder":
        (target / "inside").rmdir()
        target.rmdir()
        del expected[target.name]
    assert contents(folder) == expected
    assert not store.root.exists(), "nothing was recorded"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_if_one_folder_and_its_file_cannot_be_changed_no_file_is_written(open_folder, unprivileged, position):
    folders = [open_folder / name for name in "abc"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "x.py").write_bytes(b"old")
        (folder / "x.py").chmod(0o644 if number == position and os.geteuid() == 0 else 0o666)
        folder.chmod(0o777)
    if os.geteuid() != 0:
        (folders[position] / "x.py").chmod(0o444)
    folders[position].chmod(0o555)
    code = """
        *folders, state = map(Path, sys.argv[1:])
        changes = [patch.Change.of_source(source.read(folder / "x.py"), b"new") for folder in folders]
        try:
            patch.write_all(changes, store=UndoStore(state))
        except DiffuError as refusal:
            print(type(refusal).__name__, len(UndoStore(state).writes()))
    """
    assert unprivileged(code, *folders, open_folder / "state") == "WriteFailed 0"
    assert [contents(folder) for folder in folders] == [{"x.py": b"old"}] * 3


def test_a_new_file_in_a_folder_that_cannot_be_written_stops_the_others(open_folder, unprivileged):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    (open_folder / "a.py").write_bytes(b"old")
    (open_folder / "a.py").chmod(0o666)
    code = """
        changes = [
            patch.Change.of_path(Path(sys.argv[1], "a.py"), b"new"),
            patch.Change.of_path(Path(sys.argv[1], "closed", "b.py"), b"new"),
        ]
        try:
            patch.write_all(changes, store=None)
        except DiffuError as refusal:
            print(refusal.message)
    """
    assert unprivileged(code, open_folder).endswith("closed/b.py: Permission denied")
    assert contents(closed) == {}
    assert (open_folder / "a.py").read_bytes() == b"old"


def test_several_files_on_a_full_disk_stay_as_they_were(small_disk, folder, store):
    for path in (folder / "a.py", small_disk / "b.py", folder / "c.py"):
        path.write_bytes(b"old")
    paths = [folder / "a.py", small_disk / "b.py", folder / "c.py"]
    changes = [Change.of_source(source.read(path), b"x" * 100_000) for path in paths]
    with pytest.raises(WriteFailed, match="No space left") as refusal:
        patch.write_all(changes, store=store)
    assert refusal.value.hint == "free some space on that disk"
    assert (contents(folder), contents(small_disk)) == ({"a.py": b"old", "c.py": b"old"}, {"b.py": b"old"})
    assert store.writes() == ()


@pytest.mark.parametrize("way", ["same name", "symlink", "hard link", "new"])
def test_two_changes_of_one_file_are_refused(folder, store, way):
    one, other = folder / "a.py", folder / "b.py"
    one.write_bytes(b"old")
    match way:
        case "same name":
            other = one
        case "symlink":
            other.symlink_to(one)
        case "hard link":
            os.link(one, other)
        case "new":
            one.unlink()
            other.symlink_to(one)
    with pytest.raises(UsageError, match="are one file"):
        patch.write_all([Change.of_path(one, b"1"), Change.of_path(other, b"2")], store=store)
    assert store.writes() == ()
    assert not one.exists() or one.read_bytes() == b"old"


class Fault:
    """Lets the low-level call number `at` that changes the disk fail, after half its work if it is a write."""

    CALLS = (
        (atomic, "write_fully"),
        (Path, "replace"),
        (os, "fsync"),
        (atomic.shutil, "copystat"),
        (os, "utime"),
        (os, "link"),
    )

    def __init__(self, monkeypatch, at, error):
        self.calls, self.at, self.error = 0, at, error
        for owner, name in self.CALLS:
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name), name))

    def wrapped(self, call, name):
        def calling(*arguments, **more):
            self.calls += 1
            if self.calls == self.at + 1:
                if name == "write_fully":
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise self.error
            return call(*arguments, **more)

        return calling


KINDS = ("plain", "linked", "symlink", "new", "same")


def made(folder, kinds):
    """A file of each kind, and a change of it."""
    for number, kind in enumerate(kinds):
        path = folder / f"{number}.py"
        if kind == "symlink":
            path = folder / f"{number}.real"
            (folder / f"{number}.py").symlink_to(path)
        if kind != "new":
            path.write_bytes(b"the old bytes of %d" % number)
        if kind == "linked":
            os.link(path, folder / f"{number}.link")
        new = path.read_bytes() if kind == "same" else b"new bytes " * (number + 1)
        yield Change.of_path(folder / f"{number}.py", new)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.integers(0, 80),
    st.sampled_from([errno.ENOSPC, errno.EIO, None]),
)
def test_whatever_call_fails_all_files_are_written_or_none(kinds, at, code):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as monkeypatch:
        folder, store = Path(name, "project"), UndoStore(Path(name, "undo"))
        folder.mkdir()
        changes = list(made(folder, kinds))
        before = contents(folder)
        fault = Fault(monkeypatch, at, KeyboardInterrupt() if code is None else OSError(code, os.strerror(code)))
        try:
            written = patch.write_all(changes, store=store)
        except (WriteFailed, KeyboardInterrupt):
            assert fault.calls > at
            if code is None and store.writes():  # it came when all were written
                undone(store)
                assert store.writes()[0].holding("written") == ()
            else:
                assert store.writes() == ()
            assert contents(folder) == before
            assert store.writes() or not [path for path in (store.root / "objects").glob("*") if path.is_file()]
        else:
            assert [change.target.read_bytes() for change in changes] == [change.new for change in changes]
            assert {write.id for write in store.writes()} == {one.undo_id for one in written if one.changed}
            monkeypatch.undo()
            for _ in store.writes():
                undone(store)
            assert contents(folder) == before


def test_files_written_in_place_go_first_for_they_may_need_space(folder, store, three, monkeypatch):
    os.link(folder / "c.py", folder / "d.py")
    order = []
    replace = patch._replace
    monkeypatch.setattr(patch, "_replace", lambda staged: (order.append(staged.change.target.name), replace(staged)))
    patch.write_all(three, store=store)
    assert order == ["c.py", "a.py", "b.py"]
    assert (folder / "d.py").read_bytes() == b"new c"


def test_the_space_of_staged_files_is_free_before_others_are_restored(folder, store, three, monkeypatch):
    replace, seen = Path.replace, []

    def failing(path, target):
        if target.name == "c.py":
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    def restoring(change):
        seen.append((change.target.name, [name for name in names(folder) if name.startswith(".")]))
        return restore(change)

    restore = patch._restore
    monkeypatch.setattr(Path, "replace", failing)
    monkeypatch.setattr(patch, "_restore", restoring)
    with pytest.raises(WriteFailed, match="Input/output error"):
        patch.write_all(three, store=store)
    assert seen == [("b.py", []), ("a.py", [])]
    assert contents(folder) == UNCHANGED


def test_a_file_that_cannot_be_restored_is_named_and_can_be_undone(folder, store, three, monkeypatch):
    replace, calls = Path.replace, []

    def failing(path, target):
        if target.parent == folder:
            calls.append(target.name)
            if len(calls) in {3, 4}:  # the third file, and the restoration of the second
                raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteFailed, match=r"b\.py: was written and could not be restored \(.*c\.py: Input") as refusal:
        patch.write_all(three, store=store)
    assert refusal.value.hint == "diffu undo restores its former content"
    assert calls == ["a.py", "b.py", "c.py", "b.py", "a.py"]
    assert contents(folder) == {**UNCHANGED, "b.py": b"new b"}
    (write,) = store.writes()
    assert [file.state for file in write.files] == ["undone", "written", "undone"]
    undone(store)
    assert contents(folder) == UNCHANGED


def test_all_files_that_cannot_be_restored_are_named(folder, store, three, monkeypatch):
    replace = Path.replace

    def failing(path, target):
        if target.parent == folder and (target.name == "c.py" or target.read_bytes().startswith(b"new")):
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteFailed) as refusal:
        patch.write_all(three, store=store)
    assert refusal.value.message.startswith(f"{folder / 'b.py'}, {folder / 'a.py'}: was written and could not be")
    assert [file.path.name for file in store.writes()[0].holding("written")] == ["a.py", "b.py"]


def test_a_change_while_the_others_are_staged_leaves_no_trace_in_the_store(folder, store, three, monkeypatch):
    stage = patch._stage

    def slow(change):
        if change.target.name == "c.py":
            (folder / "a.py").write_bytes(b"theirs")
        return stage(change)

    monkeypatch.setattr(patch, "_stage", slow)
    with pytest.raises(TargetChanged, match=r"a\.py: changed on disk"):
        patch.write_all(three, store=store)
    assert contents(folder) == {**UNCHANGED, "a.py": b"theirs"}
    assert store.writes() == ()


def test_what_somebody_else_writes_meanwhile_is_not_overwritten_by_the_restoration(folder, store, three, monkeypatch):
    replace = Path.replace

    def failing(path, target):
        if target.name == "c.py":
            (folder / "a.py").write_bytes(b"theirs")
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteFailed):
        patch.write_all(three, store=store)
    assert contents(folder) == {**UNCHANGED, "a.py": b"theirs"}
    assert store.writes() == ()


def test_a_change_while_the_pre_images_are_kept_is_seen_too(folder, store, three, monkeypatch):
    save = UndoStore._save

    def slow(self, write):
        (folder / "b.py").write_bytes(b"theirs")
        save(self, write)

    monkeypatch.setattr(UndoStore, "_save", slow)
    with pytest.raises(TargetChanged, match=r"b\.py: changed on disk since it was read; nothing was written"):
        patch.write_all(three, store=store)
    assert contents(folder) == {**UNCHANGED, "b.py": b"theirs"}
    assert store.writes() == ()


@pytest.mark.parametrize("new", [b"new", None])
def test_a_change_just_before_the_replacement_is_seen_too(folder, three, monkeypatch, new):
    replace_all = patch._replace_all

    def late(staged):
        (folder / "a.py").write_bytes(b"theirs")
        replace_all(staged)

    monkeypatch.setattr(patch, "_replace_all", late)
    with pytest.raises(TargetChanged):
        patch.write_all([Change(folder / "a.py", b"old a", new)], store=None)
    assert contents(folder) == {**UNCHANGED, "a.py": b"theirs"}


def test_files_are_deleted_together_with_other_changes_or_not_at_all(folder, three):
    changes = [Change(folder / "a.py", b"old a", None), *three[1:]]
    three[2].target.chmod(0o444)
    with pytest.raises(WriteFailed, match="is read-only"):
        patch.write_all(changes, store=None)
    assert contents(folder) == UNCHANGED
    three[2].target.chmod(0o644)
    patch.write_all(changes, store=None)
    assert contents(folder) == {"b.py": b"new b", "c.py": b"new c"}


def test_a_file_that_was_deleted_comes_back_if_a_later_change_fails(folder, three, monkeypatch):
    replace = Path.replace

    def failing(path, target):
        if target.name == "c.py":
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteFailed):
        patch.write_all([Change(folder / "a.py", b"old a", None), *three[1:]], store=None)
    assert contents(folder) == UNCHANGED


def test_the_writes_of_one_record_are_not_pruned(tmp_path, folder, three):
    store = UndoStore(tmp_path / "undo", max_writes=1, max_bytes=1)
    patch.create(folder / "z.py", b"new", store=store)
    patch.write_all(three, store=store)
    assert [[file.path.name for file in write.files] for write in store.writes()] == [["a.py", "b.py", "c.py"]]


LOOP = """
import itertools, sys
from pathlib import Path
from diffucli.edit import patch, source
path = Path(sys.argv[1])
print("ready", flush=True)
for byte in itertools.cycle((b"b", b"a")):
    patch.write(source.read(path), byte * 300_000, store=None)
    print("written", flush=True)
"""


def test_a_killed_process_leaves_the_old_or_the_new_bytes(folder):
    path = folder / "a.py"
    path.write_bytes(b"a" * 300_000)
    for attempt in range(8):
        with subprocess.Popen([sys.executable, "-c", LOOP, path], stdout=subprocess.PIPE) as child:
            assert [child.stdout.readline() for _ in range(2)] == [b"ready\n", b"written\n"]
            time.sleep(0.0037 * attempt)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert path.read_bytes() in (b"a" * 300_000, b"b" * 300_000)
