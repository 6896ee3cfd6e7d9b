"""`diffu model show`: the figures of a checkpoint, for people and as an object."""

from __future__ import annotations

import json
import shutil

import pytest

from diffucli.cli.show import count


def test_show_tells_the_figures_of_a_folder(diffu, golden):
    told = diffu("model", "show", golden).out.decode()
    assert str(golden) in told
    values = json.loads(diffu("model", "show", golden, "--json").out)
    assert (values["schema"], values["status"]) == ("diffu.model/1", 0)
    assert values["folder"] == str(golden)
    assert values["parameters"] > 0
    assert values["model_type"] == "Dream"


def test_show_tells_how_the_authors_sample(diffu, monkeypatch, golden):
    from diffucli.model import store
    from diffucli.model.registry import Entry

    record = store.Record("diffucoder", "apple/DiffuCoder-7B-cpGRPO", "c0ffee", "none", "", "", "2026-11-23")
    pulled = Entry("diffucoder", golden, embedded=False, record=record)
    monkeypatch.setattr("diffucli.model.registry.find", lambda _: pulled)
    assert "temperature 0.4, top-p 0.95, alg entropy, commits dream" in diffu("model", "show").out.decode()
    told = json.loads(diffu("model", "show", "--json").out)
    recipe = {"temperature": 0.4, "top_p": 0.95, "order": "entropy", "commits": "dream", "block": None}
    recipe |= {"ends": "free", "cache": "none", "stops": False}
    assert told["published"] == recipe
    monkeypatch.undo()
    assert "no settings" in diffu("model", "show", "mini").out.decode()
    assert json.loads(diffu("model", "show", "mini", "--json").out)["published"] is None


def test_show_tells_the_recipe_of_every_family(diffu, golden_of):
    shown = {
        name: dict(line.split(maxsplit=1) for line in diffu("model", "show", golden_of(name)).out.decode().splitlines())
        for name in ("dreamon", "p2", "blockwise", "llada")
    }
    greedy = "temperature 0.0, top-p 1.0, alg confidence, commits linear"
    assert {name: lines["published"] for name, lines in shown.items()} == {
        "dreamon": "temperature 0.2, top-p 0.9, alg entropy, commits single",
        "p2": "temperature 0.8, top-p 1.0, alg confidence, commits p2",
        "blockwise": f"{greedy}, block 4, cache prefix, stops at its end",
        "llada": f"{greedy}, ends never",
    }
    assert [lines["family"] for lines in shown.values()] == ["dreamon", "open-dcoder", "stable-diffcoder", "llada"]


def test_show_tells_of_a_checkpoint_that_cannot_be_run(diffu, tmp_path, golden):
    folder = tmp_path / "other"
    shutil.copytree(golden, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    told = json.loads(diffu("model", "show", str(folder), "--json").out)
    assert (told["model_type"], told["num_hidden_layers"], told["published"]) == ("llama", 3, None)


@pytest.mark.parametrize(("number", "text"), [(4_700_000, "4.7 M"), (10**8, "100.0 M"), (7_615_616_512, "7.62 B")])
def test_parameters_are_counted_in_millions_and_billions(number, text):
    assert count(number) == text


def test_show_puts_what_people_read_into_words(diffu, golden):
    lines = dict(line.split(maxsplit=1) for line in diffu("model", "show", golden).out.decode().splitlines())
    assert lines["memory"].endswith(" at least")
    assert lines["licence"] == "unknown"
    assert lines["revision"] == "none"
    assert {"model_type", "vocab_size"}.isdisjoint(lines), "underscores are blanks"
