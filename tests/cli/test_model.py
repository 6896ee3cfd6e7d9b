"""`diffu model list`, `show` and `path`: what can be run, and what its files say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from diffucli.model import names, store
from diffucli.model.names import ALIASES
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path


def test_path_is_the_folder_alone(diffu, golden):
    assert diffu("model", "path", golden).out == f"{golden}\n".encode()


def test_the_variable_names_the_default_model(diffu, golden):
    assert diffu("model", "path").out == f"{golden}\n".encode()  # the fixture sets DIFFU_MODEL


def test_list_has_mini(diffu, mini):
    done = diffu("model", "list")
    assert done.code == 0
    assert b" mini " in done.out
    told = json.loads(diffu("model", "list", "--json").out)
    assert "mini" in [model["name"] for model in told["models"]]


@pytest.mark.parametrize(("free", "here"), [(100 * 10**9, "fits; "), (10**9, "does not fit: 1.0 GB")])
def test_list_all_shows_what_can_be_pulled_and_what_runs_here(diffu, monkeypatch, tmp_path, free, here):
    runs = here.startswith("fits")
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path))
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda _: free)
    told = json.loads(diffu("model", "list", "--all", "--json").out)["pullable"]
    assert [row["name"] for row in told] == list(ALIASES)
    first = told[0]
    assert (first["runs"], first["licence"]) == (runs, "apple-amlr")
    assert first["here"].startswith(here)
    assert 15.2e9 < first["fetch"] < 15.3e9
    assert 5.5e9 < first["disk"] < 5.7e9
    assert first["disk"] < first["memory"] < first["fetch"]
    lines = diffu("model", "list", "-a").out.decode().splitlines()
    rows, purposes = lines[-2 * len(told) :: 2], lines[1 - 2 * len(told) :: 2]
    assert [line.split()[0] for line in rows] == list(ALIASES)
    assert [line.strip() for line in purposes] == [row["purpose"] for row in told]
    assert all(len(line) < 120 for line in (*rows, *purposes))
    assert rows[0].split()[1:6] == ["15.2", "GB", *format_bytes(first["memory"]).split(), "2048"]
    assert "pullable" not in json.loads(diffu("model", "list", "--json").out)


def test_list_all_leaves_out_what_is_here(diffu, moved, monkeypatch):
    monkeypatch.setattr("diffucli.model.names.KNOWN", (replace(names.KNOWN[0], name="org/small"), names.KNOWN[1]))
    told = json.loads(diffu("model", "list", "--all", "--json").out)
    assert [row["name"] for row in told["pullable"]] == ["diffucoder-instruct"]


def test_list_goes_on_past_a_damaged_model(diffu, monkeypatch, tmp_path, golden):
    from diffucli.model.registry import Entry

    shutil.copy(golden / "config.json", tmp_path)
    entries = (Entry("bad", tmp_path, embedded=False), Entry("good", golden, embedded=False))
    monkeypatch.setattr("diffucli.model.registry.entries", lambda: entries)
    done = diffu("model", "list")
    assert done.code == 0
    bad, good = done.out.decode().splitlines()
    assert bad.split()[0] == "bad"
    assert "damaged" in bad
    assert good.split()[0] == "good"


@pytest.mark.parametrize("command", ["pull", "use", "show", "rm", "path"])
@pytest.mark.parametrize("name", ["no-such", "./no-such", "https://example.org/a/b"])
def test_an_unknown_model_is_exit_4_with_a_remedy(diffu, monkeypatch, tmp_path, command, name):
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path))
    done = diffu("model", command, name)
    assert done.code == 4
    assert len(done.lines) == 1
    assert done.err.endswith(")\n")


def test_rm_of_what_is_no_name_deletes_nothing(diffu, monkeypatch, tmp_path):
    home = tmp_path / "home"
    (home / "models" / "org--small").mkdir(parents=True)
    monkeypatch.setenv("DIFFU_HOME", str(home))
    for name in ("..", ".", "", ".fetched"):
        done = diffu("model", "rm", "-y", "--", name)
        assert done.code == 4
        assert len(done.lines) == 1
        assert (home / "models" / "org--small").is_dir()


@pytest.fixture
def moved(monkeypatch, tmp_path) -> Path:
    """A pulled model that was moved to another disk and linked back; where it is."""
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    staged = store.staging_dir("org/small")
    staged.mkdir(parents=True)
    (staged / "config.json").write_text("{}")
    folder = store.install(staged, store.Record("org/small", "org/small", "c0ffee", "none", "", "", "2026-11-26"))
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def test_rm_of_a_link_with_y_deletes_the_link_and_says_where_the_files_are(diffu, moved):
    assert b"org/small" in diffu("model", "list").out
    done = diffu("model", "rm", "org/small", "-y")
    assert done.code == 0
    assert done.lines[-1] == f"its files stay in {moved}"
    assert (moved / "config.json").exists()
    assert b"org/small" not in diffu("model", "list").out


@pytest.mark.parametrize("answers", ["n", "yn", "yy"])
def test_rm_of_a_link_asks_for_the_link_and_for_what_it_leads_to(diffu, moved, monkeypatch, answers):
    given, asked = iter(answers), []
    monkeypatch.setattr("diffucli.cli.pull.confirmed", lambda question: asked.append(question) or next(given) == "y")
    assert diffu("model", "rm", "org/small").code == (2 if answers == "n" else 0)
    assert store.model_dir("org/small").is_symlink() is (answers == "n")
    assert moved.exists() is (answers != "yy")
    assert asked[0] == f"Delete org/small (the link to {moved})?"
    assert len(asked) == len(answers)


def test_rm_of_a_folder_that_diffu_did_not_make_says_that_it_stays(diffu, monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    mine = tmp_path / "home" / "models" / "mine"
    mine.mkdir(parents=True)
    done = diffu("model", "rm", "mine", "-y")
    assert (done.code, len(done.lines)) == (4, 1)
    assert "is no model that diffu pulled" in done.err
    assert mine.is_dir()
