"""`diffu train mini`: from data to a card, in one command."""

from __future__ import annotations

import json
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from diffucli.eval.problems import CodeProblem, FillProblem
from diffucli.lab import chart
from diffucli.mini import corpus, recipe, rows, training_log
from diffucli.mini.classics import classics
from diffucli.mini.corpus import Function

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Diffu

MINUTES = "0.1"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of seconds: few tasks, one function, a tiny network; measured on one problem with few forwards."""
    tiny = {"small": recipe.ModelShape(32, 64, 2, 2, 1), "large": recipe.ModelShape(64, 64, 2, 2, 1)}
    monkeypatch.setattr(recipe, "SHAPES", tiny)
    monkeypatch.setattr(recipe, "PROGRAMS", 50)
    monkeypatch.setattr(recipe, "Recipe", partial(recipe.Recipe, compiled=False, batch_tokens=1024))
    monkeypatch.setattr(
        rows, "draw_request", lambda rng, _tasks=(): (task := rng.choice(classics()[:5]), task.nouns[0])
    )
    monkeypatch.setattr(corpus, "functions", lambda *_: iter([Function("toys", "One.", "def one():\n    return 1\n")]))
    problem = CodeProblem("requests", "add one", "assert candidate(1) == 2\n")
    hole = FillProblem("holes", "def one():\n    return ", "1", "\n")
    monkeypatch.setattr("diffucli.eval.card.problems", lambda suite, limit: [problem, hole])
    monkeypatch.setattr("diffucli.eval.card.SAMPLES", 1)
    monkeypatch.setattr("diffucli.eval.card.DEFAULT_ANSWER_TOKENS", 16)


@pytest.mark.usefixtures("small")
def test_one_command_makes_weights_log_and_card(diffu: Diffu, tmp_path: Path) -> None:
    folder, card = tmp_path / "new", tmp_path / "docs" / "card.md"
    done = diffu("train", "mini", "-o", folder, "--minutes", MINUTES, "--card", card, "--seed", "2", "--no-picture")
    assert done.code == 0, done.err
    assert {"model.safetensors", "config.json", "vocab.json", "training-log.json"} <= {p.name for p in folder.iterdir()}
    assert training_log.read(folder).recipe["seed"] == 2
    assert [path.name for path in card.parent.iterdir()] == ["card.md"]
    text = card.read_text()
    assert "| requests |" in text
    assert f"--minutes {MINUTES} --size small --seed 2" in text
    assert str(tmp_path) not in text
    assert done.lines[0].startswith("training:   0% · 0.")
    assert done.lines[-1] == f"wrote the checkpoint {folder} and its card {card}"
    assert done.out == b""
    again = diffu("train", "mini", "-o", folder, "--no-picture")
    assert again.code == 2
    assert "has a checkpoint in it (name another folder, or add --resume or --only-card)" in again.err
    anew = diffu("train", "mini", "-o", folder, "--only-card", "--no-picture", "--json")
    assert json.loads(anew.out) == {
        "schema": "diffu.train/1",
        "status": 0,
        "folder": str(folder),
        "card": str(folder / "mini.md"),
        "version": version("diffucli"),
    }
    assert "| requests |" in (folder / "mini.md").read_text()


@pytest.mark.usefixtures("small")
def test_a_training_is_resumed(diffu: Diffu, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    go = ("train", "mini", "-o", folder, "--minutes", "0.1", "--no-picture")
    refused = diffu(*go, "--resume")
    assert refused.code == 2
    assert "has no weights to resume from (leave --resume out)" in refused.err
    assert diffu(*go).code == 0
    first = training_log.read(folder)
    done = diffu(*go, "--resume")
    assert done.code == 0, done.err
    both = training_log.read(folder)
    assert len(both.sessions) == 2
    assert both.recipe["seed"] == 1, "other data"
    assert both.points[: len(first.points)] == first.points
    assert "--resume" in (folder / "mini.md").read_text()
    other = diffu(*go, "--resume", "--size", "large")
    assert other.code == 2
    assert "has another size (give its --size)" in other.err


def test_a_missing_matplotlib_is_told_before_the_training(
    diffu: Diffu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    monkeypatch.setattr(recipe, "train", lambda *_: pytest.fail("it was begun"))
    done = diffu("train", "mini", "-o", tmp_path / "new")
    assert done.code == 2
    assert "needs matplotlib (pip install 'diffucli[train]', or leave it out with --no-picture)" in done.err
    assert not (tmp_path / "new").exists()


def test_a_card_needs_a_training_log(diffu: Diffu, golden: Path) -> None:
    done = diffu("train", "mini", "-o", golden, "--only-card", "--no-picture")
    assert done.code == 2
    assert "has no training log" in done.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("maxi", "-o", "x"), "maxi"),
        (("mini",), "--output"),
        (("mini", "-o", "x", "--minutes", "0"), "minutes"),
        (("mini", "-o", "x", "--size", "huge"), "huge"),
        (("mini", "-o", "x", "--device", "abacus", "--no-picture"), "no device 'abacus'"),
    ],
)
def test_mistakes_are_told_in_one_line(diffu: Diffu, argv: tuple[str, ...], message: str) -> None:
    done = diffu("train", *argv)
    assert done.code == 2
    assert message in done.err
    assert len(done.lines) == 1


def test_a_folder_that_cannot_be_made(diffu: Diffu, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = diffu("train", "mini", "-o", tmp_path / "file" / "new", "--no-picture")
    assert done.code == 2
    assert "cannot make" in done.err
