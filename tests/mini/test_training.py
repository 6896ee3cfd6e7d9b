"""A session of training refuses what cannot be trained, and a later session differs from the first one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from diffucli.errors import UsageError
from diffucli.mini import recipe as recipes
from diffucli.mini import training_log
from diffucli.mini.recipe import SHAPES, TrainingStarted, TrainingStep
from diffucli.mini.training import TrainingSettings, begin, progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffucli.mini.recipe import Recipe

SETTINGS = TrainingSettings(minutes=30.0, size="small", device="cpu", seed=5, resume=False)
STARTED = TrainingStarted({"packaging": 3, "attrs": 4}, 4_700_000, torch.device("cpu"))
STEP = TrainingStep(0.25, 2.0, 1.23456, "diffusion", 7, 3_000_000, {"task": 1}, 1)


@pytest.fixture
def recipe_of(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that were trained by, each in two events; the weights of a training are an empty file."""
    seen: list[Recipe] = []

    def train(recipe: Recipe, folder: Path) -> Iterator[TrainingStarted | TrainingStep]:
        seen.append(recipe)
        yield STARTED
        (folder / "model.safetensors").touch()
        yield STEP

    monkeypatch.setattr(recipes, "train", train)
    return seen


def test_the_first_session_is_the_recipe_with_its_settings() -> None:
    recipe = SETTINGS.recipe(0)
    assert (recipe.size, recipe.minutes, recipe.device, recipe.seed) == (SHAPES["small"], 30.0, "cpu", 5)
    assert recipe.causal > 0


def test_a_later_session_draws_other_data_and_trains_no_causal_model_at_lower_rates() -> None:
    first, third = SETTINGS.recipe(0), SETTINGS.recipe(2)
    assert (third.seed, third.causal) == (7, 0.0)
    assert third.rate < first.rate
    assert third.embed_rate < first.embed_rate
    assert replace(third, seed=5, causal=first.causal, rate=first.rate, embed_rate=first.embed_rate) == first


def test_a_session_is_logged_in_a_folder_that_it_makes(recipe_of: list[Recipe], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "new"
    assert list(begin(SETTINGS, folder)) == [STARTED, STEP]
    assert recipe_of == [SETTINGS.recipe(0)]
    assert training_log.read(folder).steps == 7


def test_a_session_resumes_after_those_in_the_log(recipe_of: list[Recipe], tmp_path: Path) -> None:
    list(begin(SETTINGS, tmp_path))
    list(begin(replace(SETTINGS, resume=True), tmp_path))
    list(begin(replace(SETTINGS, resume=True), tmp_path))
    assert [recipe.seed for recipe in recipe_of] == [5, 6, 7]
    assert len(training_log.read(tmp_path).sessions) == 3


def test_mistakes_are_refused_before_anything_is_trained(recipe_of: list[Recipe], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no weights to resume from"):
        begin(replace(SETTINGS, resume=True), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot make"):
        begin(SETTINGS, tmp_path / "file" / "new")
    list(begin(SETTINGS, tmp_path))
    with pytest.raises(UsageError, match="has a checkpoint in it"):
        begin(SETTINGS, tmp_path)
    with pytest.raises(UsageError, match="has another size"):
        begin(replace(SETTINGS, resume=True, size="large"), tmp_path)
    assert len(recipe_of) == 1


def test_progress_in_words() -> None:
    assert progress(STARTED) == (0, "4.7 M parameters · 7 open functions · cpu")
    assert progress(STEP) == (0.25, "diffusion · loss 1.235 · 3.00 M tokens · 1500000 tok/s")
    assert progress(replace(STEP, seconds=0.0))[1].endswith(" M tokens")
