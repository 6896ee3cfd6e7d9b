"""Diffs that git applies, and writes that lose nothing."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffucli.edit import patch, source
from diffucli.edit.patch import Written
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
    assert written == Written(folder / "a.py", changed=True, entry=store.entries()[0].id)


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
    assert written == Written(folder / "a.py", changed=False, entry=None)
    assert (folder / "a.py").stat() == before
    assert store.entries() == ()


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
    assert synced[:6] == kept
    ways = {1: [("project", b"old"), ("project", b"new")], 2: [("project", b"old")] + 2 * [("project", b"new")]}
    assert synced[6:] == ways[links]


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
    assert store.entries() == ()


def test_a_change_in_the_last_moment_is_seen_too(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"old")
    read = source.read(folder / "a.py")
    copystat = patch.shutil.copystat

    def late(*paths):
        (folder / "a.py").write_bytes(b"theirs")
        copystat(*paths)

    monkeypatch.setattr(patch.shutil, "copystat", late)
    with pytest.raises(TargetChanged):
        patch.write(read, b"new", store=store)
    assert (folder / "a.py").read_bytes() == b"theirs"
    assert names(folder) == ["a.py"]
    assert store.entries() == ()


def test_a_write_in_place_looks_again_too(folder):
    (folder / "a.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged):
        patch._overwrite(folder / "a.py", b"new", old=b"old")
    assert (folder / "a.py").read_bytes() == b"theirs"


def test_a_store_that_fails_afterwards_does_not_hide_why_the_write_was_refused(folder, store):
    (folder / "a.py").write_bytes(b"old")

    class Hasty:
        def record(self, path, *, before, after):
            path.write_bytes(b"theirs")
            return "beef"

        def forget(self, entry_id):
            raise WriteFailed("no")

    with pytest.raises(TargetChanged):
        patch.write(source.read(folder / "a.py"), b"new", store=Hasty())


def test_a_file_that_is_gone_is_not_brought_back(folder, store):
    (folder / "a.py").write_bytes(b"old")
    read = source.read(folder / "a.py")
    (folder / "a.py").unlink()
    with pytest.raises(TargetChanged):
        patch.write(read, b"new", store=store)
    assert names(folder) == []


def test_a_file_without_write_permission_is_refused_even_to_root(folder, store):
    (folder / "a.py").write_bytes(b"old")
    (folder / "a.py").chmod(0o444)
    refusal = refused_write(folder / "a.py", store=store)
    assert isinstance(refusal, WriteFailed)
    assert "is read-only" in refusal.message
    assert (folder / "a.py").read_bytes() == b"old"
    assert store.entries() == ()


def test_stdin_cannot_be_written_back():
    with pytest.raises(UsageError, match="stdin"):
        patch.write(source.from_bytes(b"a"), b"b", store=None)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused(folder, kind):
    path = {"pipe": folder / "pipe", "device": Path(os.devnull), "folder": folder}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError, match="is not a regular file"):
        patch.create(path, b"new", store=None)


def test_a_new_file_gets_the_usual_mode(folder, store):
    mask = os.umask(0o027)
    try:
        written = patch.create(folder / "new.py", b"new", store=store)
    finally:
        os.umask(mask)
    assert (folder / "new.py").read_bytes() == b"new"
    assert stat.S_IMODE((folder / "new.py").stat().st_mode) == 0o640
    assert store.entries()[0].before is None
    assert written.entry == store.entries()[0].id


def test_a_new_file_over_an_old_one_is_a_write_like_any_other(folder, store):
    (folder / "a.py").write_bytes(b"old")
    (folder / "a.py").chmod(0o600)
    patch.create(folder / "a.py", b"new", store=store)
    assert stat.S_IMODE((folder / "a.py").stat().st_mode) == 0o600
    store.undo()
    assert (folder / "a.py").read_bytes() == b"old"


def test_an_empty_new_file_is_made(folder):
    assert patch.create(folder / "a.py", b"", store=None).changed
    assert (folder / "a.py").read_bytes() == b""


def test_a_new_file_through_a_dangling_symlink_is_made_where_it_points(folder):
    (folder / "link").symlink_to("real.py")
    patch.create(folder / "link", b"new", store=None)
    assert (folder / "real.py").read_bytes() == b"new"
    assert (folder / "link").is_symlink()


@pytest.mark.parametrize("name", ["missing/a.py", "file/a.py"])
def test_a_new_file_wants_its_folder(folder, name):
    (folder / "file").touch()
    with pytest.raises(UsageError, match="its folder does not exist") as refusal:
        patch.create(folder / name, b"new", store=None)
    assert refusal.value.hint.startswith("mkdir -p ")


def test_a_file_that_appeared_meanwhile_is_not_overwritten(folder):
    (folder / "a.py").write_bytes(b"theirs")
    with pytest.raises(TargetChanged, match="appeared meanwhile"):
        patch.put(folder / "a.py", b"new", old=None)
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
    assert store.entries() == ()


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
    assert store.entries() == ()


def test_a_file_that_is_a_mount_point_is_written_in_place(small_disk, folder, store):
    """As single files are in containers: they cannot be replaced."""
    (small_disk / "inside.py").write_bytes(b"old")
    (folder / "a.py").touch()
    subprocess.run(["mount", "--bind", small_disk / "inside.py", folder / "a.py"], check=True)
    try:
        patch.write(source.read(folder / "a.py"), b"new", store=store)
        assert (small_disk / "inside.py").read_bytes() == b"new"
        assert names(folder) == ["a.py"]
        store.undo()
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
    assert UndoStore(state).image(UndoStore(state).entries()[0].before).read_bytes() == b"old"


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
        self.calls, self.passed, self.times, self.write = 0, passed, times, patch._write_all
        monkeypatch.setattr(patch, "_write_all", self)

    def __call__(self, file, data):
        self.calls += 1
        if self.passed < self.calls <= self.passed + self.times:
            self.write(file, data[: len(data) // 2 if self.calls == self.passed + 1 else 0])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(file, data)


@pytest.mark.parametrize("passed", [0, 1])
@pytest.mark.parametrize("new", [b"longer than the old bytes", b"short"])
def test_a_write_in_place_that_fails_is_taken_back(folder, monkeypatch, passed, new):
    (folder / "a.py").write_bytes(b"the old bytes")
    os.link(folder / "a.py", folder / "b.py")
    Failing(monkeypatch, passed=passed, times=1)
    assert isinstance(refused_write(folder / "a.py", new), WriteFailed)
    assert (folder / "b.py").read_bytes() == b"the old bytes"


def test_the_pre_image_outlives_a_write_that_could_not_be_taken_back(folder, store, monkeypatch):
    (folder / "a.py").write_bytes(b"the old bytes")
    os.link(folder / "a.py", folder / "b.py")
    Failing(monkeypatch, passed=4, times=2)  # before, after and the entry; the empty tail
    refusal = refused_write(folder / "a.py", b"NEW NEW NEW", store=store)
    assert "only in part" in refusal.message
    assert (folder / "a.py").read_bytes() not in (b"the old bytes", b"NEW NEW NEW")
    with pytest.raises(TargetChanged) as changed:
        store.undo()
    kept = Path(changed.value.hint.rpartition(" ")[2])
    assert kept.read_bytes() == b"the old bytes"


LOOP = """
import itertools, sys
from pathlib import Path
from diffucli.edit import patch, source
path = Path(sys.argv[1])
print("ready", flush=True)
for byte in itertools.cycle((b"b", b"a")):
    patch.write(source.read(path), byte * 300_000, store=None)
"""


def test_a_killed_process_leaves_the_old_or_the_new_bytes(folder):
    path = folder / "a.py"
    path.write_bytes(b"a" * 300_000)
    seen = set()
    for attempt in range(8):
        with subprocess.Popen([sys.executable, "-c", LOOP, path], stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            time.sleep(0.011 + 0.0037 * attempt)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        data = path.read_bytes()
        assert data in (b"a" * 300_000, b"b" * 300_000)
        seen.add(data)
    assert seen
