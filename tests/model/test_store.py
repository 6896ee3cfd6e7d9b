"""Models on disk are complete or not there, whatever stops an installation or a removal, and names are only names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.errors import ModelError
from diffucli.model import registry, store

NAME = "org/small"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def record(revision: str = "c0ffee") -> store.Record:
    return store.Record(NAME, NAME, revision, "none", "mit", "https://example.org", "2026-11-23")


def staged(content: str) -> Path:
    folder = store.staging_dir(NAME)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(content)
    return folder


def installed(content: str = "old", revision: str = "c0ffee") -> Path:
    return store.install(staged(content), record(revision))


def content() -> str:
    return (store.model_dir(NAME) / "config.json").read_text()


def test_a_staged_folder_becomes_the_model_with_its_record(home):
    assert installed() == home / "models" / "org--small"
    assert store.records() == (record(),)
    assert not store.staging_dir(NAME).exists()


def test_an_installation_replaces_what_was_there():
    installed("old")
    installed("new", "d00d")
    assert content() == "new"
    assert [each.revision for each in store.records()] == ["d00d"]
    assert store.leftovers(NAME) == [store.model_dir(NAME)]


class Killed(BaseException):
    """Stands for a process that ends at once: nothing of ours catches it."""


def kill_at(monkeypatch, owner: object, name: str, call: int) -> None:
    """The `call`-th call of owner.name does not happen any more."""
    real, calls = getattr(owner, name), []

    def dying(*args: object, **flags: object) -> object:
        calls.append(args)
        if len(calls) == call:
            raise Killed
        return real(*args, **flags)

    monkeypatch.setattr(owner, name, dying)


POINTS = {  # the step of an installation that no longer happens → whether the new model is in place by then
    "write the record": (store, "swap_json", 1, False),
    "move the old model away": (Path, "rename", 1, False),
    "move the new model in": (Path, "rename", 2, False),
    "delete the old model": (shutil, "rmtree", 1, True),
}


def killed_at(monkeypatch, point: str) -> bool:
    owner, name, call, new = POINTS[point]
    installed("old")
    folder = staged("new")
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, call)
        with pytest.raises(Killed):
            store.install(folder, record("d00d"))
    return new


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_of_an_installation_loses_no_model(monkeypatch, point):
    new = killed_at(monkeypatch, point)
    store.recover(NAME)
    assert content() == ("new" if new else "old")
    assert store.records() == (record("d00d" if new else "c0ffee"),)
    assert not store.replaced_dir(NAME).exists()
    assert store.staging_dir(NAME).exists() is not new, "what was staged is still there to be installed"


@pytest.mark.parametrize("point", POINTS)
def test_the_next_installation_goes_through_and_leaves_nothing_of_the_old(monkeypatch, point):
    new = killed_at(monkeypatch, point)
    store.install(staged("newer") if new else store.staging_dir(NAME), record("d00d"))
    assert content() == ("newer" if new else "new")
    assert store.leftovers(NAME) == [store.model_dir(NAME)]


@pytest.mark.parametrize("point", POINTS)
def test_a_removal_after_a_kill_leaves_nothing(monkeypatch, point, home):
    """The old model lies in a folder of its own after two of these steps."""
    killed_at(monkeypatch, point)
    there = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    assert registry.remove(NAME) == there > 0
    assert store.leftovers(NAME) == []
    assert not [path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_an_old_model_that_was_moved_away_counts_as_a_leftover(monkeypatch):
    killed_at(monkeypatch, "move the new model in")
    assert store.replaced_dir(NAME) in store.leftovers(NAME)
    assert store.replaced_dir(NAME).name == ".old-org--small"
    assert store.records() == (record(),), "the list puts it back"
    assert store.replaced_dir(NAME) not in store.leftovers(NAME)


def test_an_installation_that_runs_just_now_is_not_recovered_from(monkeypatch):
    killed_at(monkeypatch, "move the new model in")
    with store.locked(NAME, wait=False):
        store.recover(NAME)
        assert store.replaced_dir(NAME).exists()
    store.recover(NAME)
    assert content() == "old"


def test_a_removal_that_is_interrupted_leaves_no_model(monkeypatch):
    """Whichever folder could not be deleted: it has no record any more."""
    installed()
    staged("half done")
    with monkeypatch.context() as patch:
        kill_at(patch, shutil, "rmtree", 1)
        with pytest.raises(Killed):
            store.remove(NAME)
    assert (store.replaced_dir(NAME) / "config.json").exists()
    assert store.records() == ()
    assert not store.replaced_dir(NAME).exists(), "the list has gone on with it"
    assert store.remove(NAME) > 0
    assert store.leftovers(NAME) == []


def test_a_removal_says_how_many_bytes_it_freed():
    folder = installed("twelve bytes")
    size = 12 + (folder / store.RECORD).stat().st_size
    assert store.size(folder) == size
    assert store.remove(NAME) == size
    assert store.remove(NAME) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "diffu.pulled/2"},
        {"schema": None},
        {"licence": 7},
        {"revision": None},
        {"quant": ["nf4"]},
        {"files": []},
        {"files": {"a": 3}},
        {"files": {"a": ["many", "x"]}},
        {"name": "org/other"},
        {"name": ".."},
        {"name": "../x"},
        {"name": ""},
    ],
)
def test_a_record_with_one_thing_wrong_is_no_record(change):
    """Each alone: the schema, any value that is no string, the files, the name."""
    path = installed() / store.RECORD
    values = json.loads(path.read_text())
    assert store.read_record(path.parent) == record()
    path.write_text(json.dumps(values | change))
    assert store.read_record(path.parent) is None
    assert store.records() == ()


@pytest.mark.parametrize("spoilt", ["", "{", "[]", "{}", '{"schema": "diffu.pulled/1"}'])
def test_a_folder_without_a_sound_record_is_no_model(spoilt):
    (installed() / store.RECORD).write_text(spoilt)
    assert store.records() == ()


def test_a_record_remembers_files_and_digests():
    files = {"config.json": (3, "abc"), "model.safetensors": (10**10, "")}
    folder = store.install(staged("x"), replace(record(), files=files))
    assert store.read_record(folder).files == files


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../..",
        "/",
        "/etc",
        "a/..",
        "a--b",
        "org/a--b",
        "../x",
        ".fetched",
        ".made",
        ".locks",
        "a/b/c",
        "~",
        "a b",
        "a\0",
    ],
)
def test_what_cannot_be_a_name_is_never_a_folder_that_is_removed(home, name):
    """`diffu model rm ..` emptied DIFFU_HOME, `rm ""` deleted every model."""
    installed()
    (home / "config.json").write_text("{}")
    store.download_dir(NAME).mkdir(parents=True)
    before = sorted(home.rglob("*"))
    folders = (store.model_dir, store.download_dir, store.staging_dir, store.replaced_dir)
    for use in (registry.remove, store.remove, store.leftovers, store.recover, *folders):
        with pytest.raises(ModelError, match="cannot be a model's name"):
            use(name)
    assert [path for path in before if not path.exists()] == []


@pytest.mark.parametrize("name", ["mini", "org/small", "a", "A_1.b-c", "7b/x.y"])
def test_names_are_letters_digits_and_a_few_signs_with_at_most_one_slash(name):
    assert store.is_name(name)
    assert store.model_dir(name).parent == store.root()


# what diffu did not make


@pytest.fixture
def foreign() -> Path:
    """A folder of the user's own in the place of the model."""
    folder = store.model_dir(NAME)
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    return folder


@pytest.mark.parametrize("spoilt", [None, "{", '{"schema": "diffu.pulled/1"}'])
def test_a_folder_that_diffu_did_not_make_is_not_removed_or_replaced(foreign, spoilt):
    if spoilt:
        (foreign / store.RECORD).write_text(spoilt)
    before = {path.name: path.read_text() for path in foreign.iterdir()}
    with pytest.raises(ModelError, match="is no model that diffu pulled"):
        registry.remove(NAME)
    with pytest.raises(ModelError, match="is no model that diffu pulled") as refused:
        store.install(staged("new"), record())
    assert refused.value.hint == f"move it away; a checkpoint in it can be run as -m {foreign}"
    assert store.remove(NAME) > 0, "but what is half done goes"
    assert {path.name: path.read_text() for path in foreign.iterdir()} == before


def test_a_folder_that_came_into_the_place_of_a_model_after_a_kill_stays_and_so_does_the_model(monkeypatch):
    killed_at(monkeypatch, "move the new model in")
    folder = store.model_dir(NAME)
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert store.records() == ()
    assert (folder / "mine.txt").read_text() == "mine"
    shutil.rmtree(folder)
    assert store.records() == (record(),)
    assert content() == "old"


@pytest.fixture
def moved(tmp_path) -> Path:
    """A model that was moved to another disk and linked back."""
    folder = installed("moved")
    target = tmp_path / "elsewhere"
    folder.rename(target)
    folder.symlink_to(target)
    return target


def test_a_model_that_was_moved_and_linked_back_is_a_model(moved):
    assert store.records() == (record(),)
    assert registry.find(NAME).folder == store.model_dir(NAME)
    assert registry.use(NAME).record == record()
    assert store.linked_dir(NAME) == moved


@pytest.mark.parametrize("linked", [False, True])
def test_of_a_link_the_link_is_removed_and_what_it_leads_to_if_that_is_asked_for(moved, linked):
    there = store.size(moved)
    assert store.remove(NAME, linked=linked) == (there if linked else 0)
    assert not os.path.lexists(store.model_dir(NAME))
    assert not os.path.lexists(store.replaced_dir(NAME))
    assert moved.exists() is not linked
    assert linked or (moved / store.RECORD).exists()


def test_another_installation_replaces_the_link_alone(moved):
    installed("new", "d00d")
    assert content() == "new"
    assert not store.model_dir(NAME).is_symlink()
    assert (moved / "config.json").read_text() == "moved"
    assert store.leftovers(NAME) == [store.model_dir(NAME)]


def test_a_link_to_a_folder_around_the_store_is_never_followed(home, tmp_path):
    (installed("x") / store.RECORD).rename(tmp_path / store.RECORD)
    shutil.rmtree(store.model_dir(NAME))
    store.model_dir(NAME).symlink_to(tmp_path)
    assert store.records() == (record(),)
    assert store.linked_dir(NAME) is None
    store.remove(NAME, linked=True)
    assert (tmp_path / store.RECORD).exists()


def test_of_a_linked_folder_of_downloads_only_what_was_fetched_goes(tmp_path):
    downloads, elsewhere = store.download_dir(NAME), tmp_path / "elsewhere"
    elsewhere.mkdir()
    downloads.parent.mkdir(parents=True)
    downloads.symlink_to(elsewhere)
    for name in ("mine.txt", "config.json", "model.safetensors.part"):
        (elsewhere / name).write_text("x")
    store.swap_json(store.note_path(downloads), {"config.json": "", "model.safetensors": "", "../above.txt": ""})
    (tmp_path / "above.txt").touch()
    store.remove(NAME)
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]
    assert (tmp_path / "above.txt").exists()
    assert list(downloads.parent.iterdir()) == []


def test_a_model_that_is_locked_is_not_removed_and_not_free():
    installed()
    assert store.is_free(NAME)
    with store.locked(NAME, wait=False):
        assert not store.is_free(NAME)
        with pytest.raises(ModelError, match="being pulled"):
            store.remove(NAME)
    assert store.records() == (record(),)


def test_json_is_replaced_in_one_step_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "values.json"
    store.swap_json(path, {"a": 1})
    with pytest.raises(TypeError):
        store.swap_json(path, {"a": object()})
    assert store.read_json(path) == {"a": 1}
    assert list(tmp_path.glob("values*")) == [path]


@pytest.mark.parametrize("text", ["", "{", "[1]", "7"])
def test_json_that_is_no_object_reads_as_empty(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert store.read_json(tmp_path / "x.json") == store.read_json(tmp_path / "none.json") == {}


def test_without_diffu_home_models_lie_in_the_users_cache(monkeypatch):
    monkeypatch.delenv("DIFFU_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    if sys.platform == "linux":
        assert store.model_dir("org/name") == Path("/some/cache/diffu/models/org--name")


def test_a_kill_at_any_point_leaves_whole_models_and_no_junk():
    command = [sys.executable, Path(__file__).with_name("killed_installs.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 12
