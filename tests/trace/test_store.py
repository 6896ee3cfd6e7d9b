"""The log: private files, the newest of them within limits, found by their ids."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace

import pytest

from diffucli.errors import UsageError
from diffucli.trace.store import TraceStore, new_id


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "state" / "log")


def test_a_trace_may_be_read_by_its_owner_alone(store):
    path = store.save("0a0a0a", [b"{}\n"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert [each.id for each in store.entries()] == ["0a0a0a"]


def test_the_newest_are_kept_within_the_limits_of_number_and_size(store):
    few = replace(store, max_traces=3)
    ids = [new_id() for _ in range(5)]
    for each in ids:
        few.save(each, [b"{}\n"])
        time.sleep(0.002)
    assert [entry.id for entry in few.entries()] == ids[:1:-1]
    assert len(replace(store, max_bytes=1).prune()) == 2, "never the newest"
    assert [entry.id for entry in store.entries()] == ids[-1:]


def test_runs_are_found_by_id_by_last_and_by_path(store, tmp_path):
    first = store.save("aaaaaa", [b"{}\n"])
    time.sleep(0.002)
    last = store.save("bbbbbb", [b"{}\n"])
    other = tmp_path / "other.jsonl"
    other.write_text("{}")
    assert (store.find("aaaaaa"), store.find("last"), store.find(str(other))) == (first, last, other)
    for name in ("cccccc", "", str(tmp_path), "a\0b"):
        with pytest.raises(UsageError, match="is neither a run of the log nor a file"):
            store.find(name)


def test_an_empty_log_has_no_last_run(store):
    assert store.entries() == []
    with pytest.raises(UsageError, match="no run is in the log"):
        store.find("last")


def test_runs_are_deleted_one_by_one_or_all_and_nothing_else_is(store):
    for each in ("aaaaaa", "bbbbbb", "cccccc"):
        store.save(each, [b"{}\n"])
        time.sleep(0.002)
    (store.root / "mine.txt").write_text("mine")
    assert [each.id for each in store.remove("last")] == ["cccccc"]
    assert [each.id for each in store.remove("aaaaaa")] == ["aaaaaa"]
    with pytest.raises(UsageError, match="is no run of the log"):
        store.remove("aaaaaa")
    assert len(store.remove(None)) == 1
    assert [path.name for path in store.root.iterdir()] == ["mine.txt"]


def test_what_a_killed_process_left_is_deleted_when_it_is_old(store):
    store.save("aaaaaa", [b"{}\n"])
    old, new = store.root / ".bbbbbb.part", store.root / ".cccccc.part"
    for path in (old, new):
        path.write_text("")
    os.utime(old, (0, 0))
    store.prune()
    assert (old.exists(), new.exists()) == (False, True)
