"""`diffu model list`, `show` and `path`: what can be run, and what its files say."""

from __future__ import annotations

import json
import shutil


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


def test_an_unknown_model_is_exit_4_with_a_remedy(diffu):
    done = diffu("model", "show", "no-such")
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
