"""Files are replaced whole, half-made ones are known to be of dead or live processes, and locks say who holds them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from diffucli import atomic
from diffucli.errors import WriteFailed

NOT_ON_WINDOWS = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")


def changed(mark: str, **parts: str) -> str:
    """A mark with other parts."""
    return "-".join(
        parts.get(name, part)
        for name, part in zip(("machine", "pid", "started", "number"), mark.split("-"), strict=True)
    )


def test_a_mark_is_of_a_live_process_until_it_ends():
    code = "from diffucli import atomic; print(atomic.mark(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        theirs = child.stdout.readline().decode().strip()
        assert not atomic.is_dead(theirs)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert atomic.is_dead(theirs), "a zombie writes no more"
    assert atomic.is_dead(theirs)
    assert not atomic.is_dead(atomic.mark())


def test_a_process_that_has_the_number_of_a_dead_one_is_another():
    ours = atomic.mark()
    started = int(ours.split("-")[2])
    assert atomic.is_dead(changed(ours, started=str(started - 3000)))
    assert not atomic.is_dead(changed(ours, started=str(started - 1000))), "the clock was set"


def test_nobody_knows_the_processes_of_another_machine():
    assert not atomic.is_dead(changed(atomic.mark(), machine="00000000", pid="4194304"))


@pytest.mark.parametrize("pid", ["0", "9999999999"])
def test_a_number_that_no_process_has_is_of_a_dead_one(pid):
    assert atomic.is_dead(changed(atomic.mark(), pid=pid))


def test_a_sweep_takes_half_made_files_of_dead_processes_alone(tmp_path):
    dead = changed(atomic.mark(), started="1")
    for name in (f".diffu-{dead}", f".diffu-{atomic.mark()}", f".diffu-{dead}x", f"diffu-{dead}", ".diffu-notes"):
        (tmp_path / name).touch()
    atomic.sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert not (tmp_path / f".diffu-{dead}").exists()
    atomic.sweep(tmp_path / "nowhere")


@NOT_ON_WINDOWS
@pytest.mark.parametrize(("mode", "made"), [({}, 0o600), ({"mode": 0o666}, 0o640)])
def test_a_file_is_replaced_whole_with_the_mode_that_is_wanted(tmp_path, mode, made):
    before = os.umask(0o026)
    try:
        atomic.write_atomic(tmp_path / "a", b"1", **mode)
    finally:
        os.umask(before)
    atomic.write_atomic(tmp_path / "a", b"2", **mode)
    assert (tmp_path / "a").read_bytes() == b"2"
    atomic.discard(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    before = os.umask(0o026)
    try:
        atomic.write_atomic(tmp_path / "a", b"1", **mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == made


def test_what_cannot_replace_its_target_goes(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="a"):
        atomic.write_atomic(tmp_path / "a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def refused(path, told, *, seconds=0.0):
    """What is said where the lock is held."""
    with pytest.raises(WriteFailed) as refusal, atomic.locked(path, "the store", seconds=seconds, tell=told.append):
        pass
    return refusal.value.message, refusal.value.hint


def test_a_lock_is_held_by_one_and_names_its_process(tmp_path):
    told, ours = [], os.getpid()
    with atomic.locked(tmp_path / "lock", "the store", seconds=0):
        said = refused(tmp_path / "lock", told)
        assert said == (f"the store is held by process {ours}", f"wait for it, or end it: kill {ours}")
        assert told == []
        refused(tmp_path / "lock", told, seconds=0.1)
    assert told == [f"waiting for process {ours}, which holds the store"]
    with atomic.locked(tmp_path / "lock", "the store", seconds=0):
        pass


@pytest.mark.parametrize("content", [b"", b"nobody", b"\xff\xfe", "²".encode()])
def test_a_lock_whose_holder_is_not_known_is_held_all_the_same(tmp_path, content):
    with atomic.locked(tmp_path / "lock", "the store", seconds=0):
        (tmp_path / "lock").write_bytes(content)
        assert refused(tmp_path / "lock", [])[0] == "the store is held by another process"
